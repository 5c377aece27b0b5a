"""Two crashes in a row, at each rename of both; with and without a file system that exchanges entries."""

import os

from attack import Scene, finish, reset, run, servers

scene = Scene()

for has_exchange in (True, False):
    call = "renameat2" if has_exchange else "renameat"
    base = ["strace", "-f", "-qq", "-o", "trace", "-e", "trace=renameat,renameat2"]
    if not has_exchange:
        base += ["-e", "inject=renameat2:error=EINVAL"]
    for verb, (command, want) in scene.verbs.items():
        runs = half = new = 0
        first = 1
        while True:
            second = 1
            was_killed = True
            while True:
                reset("s", "old")
                kill = lambda number: [*base, "-e", f"inject={call}:signal=KILL:when={number}"]
                was_killed = run(*command, under=kill(first)).returncode in (-9, 137)
                if not was_killed:
                    break
                half += servers("s") not in (scene.old, want)
                other = ["log", "import", "--state-dir", "s/other", "lines"]
                again = run(*other, under=kill(second)).returncode in (-9, 137)
                run(*other, under=base)
                runs += 1
                new += scene.check(verb, want, first, second, f"exchange: {has_exchange}")
                if not again:
                    break
                second += 1
            if not was_killed:
                break
            first += 1
        print(f"{verb}, exchange {has_exchange}: {runs} runs, {half} half after the first crash, {new} new", flush=True)
os.remove("trace")
finish()
