"""File systems of every size, and of every number of inodes: all or nothing, and nothing left behind."""

import os
import shutil
import subprocess

from attack import CLUSTER, Scene, fail, finish, run, servers, stages

scene = Scene()
os.mkdir("m")
SIZES = [f"size={kib}k" for kib in range(4, 600, 4)]
INODES = [f"size=8m,nr_inodes={count}" for count in range(2, 60)]


def at(command):
    return ["m/s" if word == "s" else word for word in command]


VERBS = {verb: (at(command), want, "old") for verb, (command, want) in scene.verbs.items()}
new = ["generate", *CLUSTER, "--initial-term", "50", "--output-dir", "m/s"]
VERBS["generate new"] = (new, scene.verbs["generate"][1], None)
VERBS["backup"] = (["backup", "--state-dir", "old", "--backup-dir", "m/s"], None, None)
VERBS["backup --archive"] = (["backup", "--archive", "--state-dir", "old", "--backup-dir", "m/s"], None, None)

for verb, (command, want, source) in VERBS.items():
    done = refused = 0
    for options in SIZES + INODES:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "attack", "m"], check=True)
        try:
            if source:
                try:
                    shutil.copytree(source, "m/s")
                except (OSError, shutil.Error):
                    continue
            result = run(*command)
            if result.returncode == 0:
                done += 1
                if want and servers("m/s") != want:
                    fail(verb, options, "status 0, but not new")
            else:
                refused += 1
                if source and (servers("m/s") != scene.old or stages("m/s")):
                    fail(verb, options, "changed something:", result.stderr[-200:])
                if not source and os.path.lexists("m/s"):
                    fail(verb, options, "left something:", result.stderr[-200:])
            if result.returncode == 101:
                fail(verb, options, "panicked:", result.stderr[:200])
        finally:
            subprocess.run(["umount", "m"], check=True)
    print(f"{verb}: {done} done, {refused} without room", flush=True)
finish()
