"""Signals at random moments; then the next command; then: old or new for all servers?"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

from attack import PROGRAM, Scene, backup, digest, fail, finish, must, reset, run, servers, stages

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
random.seed(int(os.environ.get("SEED", "7")))
scene = Scene()


def duration(command):
    start = time.time()
    run(*command)
    return time.time() - start


def killed(command, longest):
    child = subprocess.Popen([PROGRAM, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    time.sleep(random.random() * longest * 1.15)
    child.send_signal(random.choice(SIGNALS))
    return child.wait() < 0


for verb, (command, want) in scene.verbs.items():
    reset("s", "old")
    longest = duration(command)
    kills = half = new = 0
    for _ in range(ROUNDS):
        reset("s", "old")
        kills += killed(command, longest)
        if servers("s") not in (scene.old, want):
            half += 1
            verified = run("verify", "--state-dir", "s")
            if verified.returncode != 1 or "NODE-004" not in verified.stdout:
                fail(verb, "verify doesn't report a half-done replacement", verified.stdout)
            if run("backup", "--state-dir", "s", "--backup-dir", "others").returncode != 1:
                fail(verb, "backup takes a half-done replacement")
        new += scene.check(verb, want)
    print(f"{verb}: {kills} killed, {half} half before the next command, {new} new", flush=True)

for form in ([], ["--archive"]):
    command = ["backup", *form, "--state-dir", "old", "--backup-dir", "made"]
    shutil.rmtree("made", ignore_errors=True)
    longest = duration(command)
    kills = 0
    for number in range(ROUNDS):
        if number % 20 == 0:
            shutil.rmtree("made", ignore_errors=True)
        kills += killed(command, longest)
    must(*command)
    for name in os.listdir("made"):
        if name.startswith(".") or run("backups", "verify", f"made/{name}").returncode != 0:
            fail("backup", form, "left or damaged:", name)
    print(f"backup {form}: {kills} killed", flush=True)

shutil.rmtree("made")
for _ in range(6):
    newest = backup("old", "made")
command = ["backups", "prune", "pruned", "--keep", "2"]
reset("pruned", "made")
longest = duration(command)
kept = sorted(os.listdir("pruned"))
kills = 0
for _ in range(ROUNDS):
    reset("pruned", "made")
    kills += killed(command, longest)
    seen = [name for name in os.listdir("pruned") if not name.startswith(".")]
    if not set(kept) <= set(seen) or any(digest(f"pruned/{name}") != digest(f"made/{name}") for name in seen):
        fail("prune", "lost or damaged a backup:", seen)
    must(*command)
    if sorted(os.listdir("pruned")) != kept:
        fail("prune", "left:", os.listdir("pruned"))
print(f"prune: {kills} killed", flush=True)

for verb, command, made in (
    ("import", ["log", "import", "--state-dir", "imported/x", "lines"], "imported"),
    ("compact to a directory", ["compact", "--state-dir", "old", "--output-dir", "copied"], "copied"),
):
    longest = duration(command)
    want, kills = digest(made), 0
    for _ in range(ROUNDS):
        shutil.rmtree(made, ignore_errors=True)
        kills += killed(command, longest)
        run(*command)
        if digest(made) != want or stages(made):
            fail(verb, "is not complete after the next command")
    print(f"{verb}: {kills} killed", flush=True)
finish()
