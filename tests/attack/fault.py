"""Each call that changes or reads the file system: killed there, or failing there; then the next command."""

import os
import sys

from attack import Scene, fail, finish, reset, run, servers

CALLS = (
    "renameat2 renameat rename mkdirat mkdir openat write pwrite64 fsync fdatasync unlinkat unlink fchmod fchmodat fchownat"
    " flock ftruncate copy_file_range statx newfstatat getdents64 pread64 statfs"
).split()
FAULTS = sys.argv[1:] or ["signal=KILL", "error=ENOSPC", "error=EIO", "error=EACCES"]
scene = Scene()

for verb, (command, want) in scene.verbs.items():
    for fault in FAULTS:
        is_kill = fault.startswith("signal")
        runs = half = new = 0
        for call in CALLS:
            for number in range(1, 200):
                reset("s", "old")
                strace = ["strace", "-f", "-qq", "-o", "trace", "-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={number}"]
                done = run(*command, under=strace)
                with open("trace", encoding="utf-8", errors="replace") as trace:
                    was_injected = "INJECTED" in trace.read()
                if (is_kill and done.returncode not in (-9, 137)) or not (is_kill or was_injected):
                    break
                runs += 1
                where = (call, number, fault)
                found = servers("s")
                if found not in (scene.old, want):
                    half += 1
                    if not is_kill and "next command" not in done.stderr:
                        fail(verb, *where, "half, and doesn't say so:", done.stderr[:300])
                if done.returncode == 0 and found != want:
                    fail(verb, *where, "status 0, but not new")
                if done.returncode in (101, 134):
                    fail(verb, *where, "panicked:", done.stderr[:300])
                new += scene.check(verb, want, *where)
        print(f"{verb} {fault}: {runs} runs, {half} half before the next command, {new} new", flush=True)
os.remove("trace")
finish()
