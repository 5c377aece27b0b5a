"""What all attacks share: a cluster of three, what each verb makes of it, and hashes of the servers' directories."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(os.environ.get("PROGRAM", "target/debug/op-conductor-init"))
CLUSTER = ["--nodes", "a.x:1,b.x:1,c.x:1", "--server-ids", "a,b,c", "--initial-leader", "a"]
ENTRIES = ("a", "b", "c", "cluster.json")
# Set by the attacks; the exit status of all.
failures = []


def fail(*what):
    failures.append(what)
    print("FAILED", *what, flush=True)


def finish():
    sys.exit(1 if failures else 0)


def run(*args, under=()):
    """Runs the command, under strace if asked to, with nothing to answer a question."""
    return subprocess.run([*under, PROGRAM, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def must(*args):
    done = run(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def generate(directory, term):
    must("generate", *CLUSTER, "--initial-term", str(term), "--output-dir", directory)


def backup(state, directory, *more):
    must("backup", *more, "--state-dir", state, "--backup-dir", directory)
    return os.path.join(directory, sorted(os.listdir(directory))[-1])


def digest(path):
    """Of a file or of all files in a directory; None when there is nothing."""
    if not os.path.lexists(path):
        return None
    found = hashlib.sha256()
    for root, directories, files in os.walk(path):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(files):
            with open(os.path.join(root, name), "rb") as file:
                found.update(name.encode() + file.read())
    if os.path.isfile(path):
        with open(path, "rb") as file:
            found.update(file.read())
    return found.hexdigest()[:12]


def servers(state):
    return [digest(os.path.join(state, name)) for name in ENTRIES]


def stages(directory):
    return [name for name in os.listdir(directory) if name.startswith(".op-conductor-init")]


def reset(state, source):
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(source, state, symlinks=True)


def settle(state):
    """The next command on the directory: it settles what was interrupted, and adds a server that is removed again."""
    done = run("log", "import", "--state-dir", os.path.join(state, "other"), "lines")
    shutil.rmtree(os.path.join(state, "other"), ignore_errors=True)
    return done


class Scene:
    """A temporary directory with an old cluster, a new one, its backup, and what each writing verb makes of `s`."""

    def __init__(self):
        os.chdir(tempfile.mkdtemp(dir=os.environ.get("BASE")))
        with open("lines", "w", encoding="utf-8") as lines:
            lines.write('{"index":1,"term":1,"type":1}\n')
        generate("old", 1)
        generate("new", 50)
        self.backup = backup("new", "backups")
        must("compact", "--state-dir", "old", "--output-dir", "compacted")
        shutil.copy("old/cluster.json", "compacted/cluster.json")
        self.old = servers("old")
        new, compacted = servers("new"), servers("compacted")
        force = ["generate", *CLUSTER, "--initial-term", "50", "--output-dir", "s", "--force"]
        restore = ["restore", "--backup-dir", self.backup, "--state-dir", "s", "--force"]
        self.verbs = {
            "generate": (force, new),
            "restore": (restore, new),
            "compact": (["compact", "--state-dir", "s", "--in-place"], compacted),
        }

    def check(self, verb, want, *where):
        """After the next command all servers must be old or new, and nothing may be left over."""
        done = settle("s")
        found = servers("s")
        if found not in (self.old, want):
            fail(verb, *where, "mixed:", found, done.returncode, done.stderr[-300:])
        if stages("s"):
            fail(verb, *where, "left over:", stages("s"))
        return found == want
