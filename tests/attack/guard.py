"""An older backup over newer state is refused; an error while the newer state is read must not let it through."""

import collections

from attack import Scene, backup, fail, finish, run

scene = Scene()
older = backup("old", "older")
command = ["restore", "--backup-dir", older, "--state-dir", "new", "--dry-run"]
plain = run(*command)
assert plain.returncode == 1, plain.stderr
statuses = collections.Counter()
for call in "openat statx newfstatat pread64 read fstat flock getdents64".split():
    for error in ("EIO", "EACCES"):
        for number in range(1, 400):
            strace = ["strace", "-f", "-qq", "-o", "trace", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}"]
            done = run(*command, under=strace)
            with open("trace", encoding="utf-8", errors="replace") as trace:
                if "INJECTED" not in trace.read():
                    break
            statuses[done.returncode] += 1
            if done.returncode == 0:
                fail(call, error, number, "let an older backup through")
print("statuses:", dict(statuses))
finish()
