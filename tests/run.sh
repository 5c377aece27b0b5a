#!/usr/bin/env bash
# All checks and all tests, from a fresh clone. Installs and starts what it misses where it may: on Debian as root
# docker.io, iptables and Go from apt, and dockerd in the background. Elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
# Nothing here asks anything, and standard input may be closed.
exec </dev/null

export CARGO_TERM_COLOR=never RUST_BACKTRACE=1
LABEL=op-conductor-init.cluster
NETWORKS="^oci[0-9]+-"
ORACLES="1.6.1 1.7.1 1.7.3 1.8.0"
DAEMON_LOG=$(mktemp)
DAEMON_PID=
SCRATCH=$(mktemp -d)

finish() {
    status=$?
    rm -rf "$SCRATCH"
    if [ -n "$DAEMON_PID" ]; then
        kill "$DAEMON_PID" 2>/dev/null && wait "$DAEMON_PID" 2>/dev/null || true
    fi
    rm -f "$DAEMON_LOG"
    exit "$status"
}
trap finish EXIT

# step NAME COMMAND...: runs it and tells how long it took.
step() {
    local name=$1 start=$SECONDS
    shift
    echo "==> $name"
    "$@"
    echo "    $name: $((SECONDS - start)) s"
}

missing() {
    echo "tests/run.sh needs $1: $2" >&2
    exit 2
}

is_debian_root() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

APT_IS_FRESH=
apt() {
    if [ -z "$APT_IS_FRESH" ]; then
        apt-get update -qq
        APT_IS_FRESH=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_cc() {
    command -v cc >/dev/null && return
    is_debian_root || missing "a C linker" "install gcc"
    apt gcc libc6-dev
}

need_rust() {
    command -v cargo >/dev/null || missing "Rust" "install it with rustup (https://rustup.rs)"
    cargo --version >/dev/null || missing "the Rust of rust-toolchain.toml" "rustup toolchain install"
    cargo fmt --version >/dev/null 2>&1 || missing "rustfmt" "rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || missing "clippy" "rustup component add clippy"
}

need_go() {
    if ! command -v go >/dev/null && is_debian_root; then
        apt golang-go
    fi
    command -v go >/dev/null || missing "Go 1.25 or newer, for the oracle" "install it and put it on the PATH"
    # From 1.21 on, an older Go fetches the one that go.mod asks for, unless GOTOOLCHAIN forbids it.
    (cd oracle && go version) || missing "Go 1.25 or newer, for the oracle" "found $(GOTOOLCHAIN=local go version)"
}

# Kills the command at each change that it makes.
need_strace() {
    if ! command -v strace >/dev/null && is_debian_root; then
        apt strace
    fi
    command -v strace >/dev/null || missing "strace" "install it and put it on the PATH"
}

# Completions are tested in the shells that they are for.
need_shells() {
    local shell
    for shell in bash zsh fish; do
        if ! command -v $shell >/dev/null && is_debian_root; then
            apt $shell
        fi
        command -v $shell >/dev/null || missing "$shell" "install it and put it on the PATH"
    done
}

# A client that can talk to the daemon: one that came with the daemon is preferred.
docker_answers() {
    docker version >/dev/null 2>&1 && return
    if [ -x /usr/bin/docker ] && /usr/bin/docker version >/dev/null 2>&1; then
        PATH=/usr/bin:$PATH
        return
    fi
    return 1
}

need_docker() {
    docker_answers && return
    if ! command -v docker >/dev/null || ! command -v dockerd >/dev/null; then
        is_debian_root || missing "a Docker daemon" "install Docker and start it, or set DOCKER_HOST"
        apt docker.io iptables
        # From Debian 13 on the client is a package of its own.
        command -v docker >/dev/null || apt docker-cli
    fi
    docker_answers && return
    [ "$(id -u)" = 0 ] || missing "a Docker daemon" "start it, or set DOCKER_HOST"
    dockerd >"$DAEMON_LOG" 2>&1 </dev/null &
    DAEMON_PID=$!
    for _ in $(seq 120); do
        docker_answers && return
        sleep 0.5
    done
    tail -20 "$DAEMON_LOG" >&2
    missing "a Docker daemon" "dockerd was started, but does not answer (its last lines are above)"
}

# Containers and networks of runs that were interrupted, a kind and an id a line. Their names begin with the number of the
# test's process, so those of another run that goes on are left alone.
left_over() {
    {
        docker ps --all --filter "label=$LABEL" --format "{{.Label \"$LABEL\"}} container {{.ID}}"
        docker network ls --filter "name=$NETWORKS" --format '{{.Name}} network {{.ID}}'
    } | while read -r name kind id; do
        name=${name#oci}
        kill -0 "${name%%-*}" 2>/dev/null || echo "$kind $id"
    done
}

sweep() {
    left_over | while read -r kind id; do
        # Containers come first: a network with one on it stays.
        if [ "$kind" = container ]; then docker rm --force "$id"; else docker network rm "$id"; fi >/dev/null
    done
}

nothing_left() {
    local left
    left=$(left_over)
    [ -z "$left" ] || { echo "left in Docker: $left" >&2; return 1; }
}

go_checks() {
    local unformatted
    unformatted=$("$(go env GOROOT)/bin/gofmt" -l oracle)
    [ -z "$unformatted" ] || { echo "gofmt: $unformatted" >&2; return 1; }
    (
        cd oracle
        go vet .
        go vet -modfile=versions/raft-1.6.1.mod -tags=boltv1 .
        go vet -modfile=versions/raft-1.7.1.mod .
        go vet -modfile=versions/raft-1.8.0.mod .
        go test .
    )
    (cd oracle/op-conductor/v0.9.4 && go vet ./... && go test ./...)
}

# The committed vectors are what the oracle makes.
vectors() {
    mkdir "$SCRATCH/payload"
    oracle/vectors.sh "$SCRATCH/payload"
    diff -r --exclude README.md tests/vectors/payload "$SCRATCH/payload"
}

# All tests, each with the time it took, which libtest reports only when it is asked as on nightly; the runner asks, so that
# nothing is built anew for it.
tests() {
    cargo test --features gate --lib --bins --tests --config "target.'cfg(all())'.runner = ['env', 'RUSTC_BOOTSTRAP=1']" \
        -- -Z unstable-options --report-time | tee "$SCRATCH/tests"
    cargo test --features gate --doc
    echo "    the slowest tests:"
    sed -n 's/^test \(.*\) \.\.\. ok <\(.*\)s>$/\2 s \1/p' "$SCRATCH/tests" | sort -rn | head -10 | sed 's/^/    /'
}

# The first of the README's two commands as it stands there, and verify on what it wrote.
main_job() {
    local command
    command=$(sed -n '/^cargo run --release -- generate/,/^```/p' README.md | sed '/^```/,$d')
    [ -n "$command" ] || { echo "README.md has no command that generates" >&2; return 1; }
    OP_CONDUCTOR_INIT_OUTPUT_DIR="$SCRATCH/raft-state" bash -c "$command" >/dev/null
    cargo run --quiet --release -- verify --state-dir "$SCRATCH/raft-state"
}

step "what is needed: Rust, a C linker" need_rust
need_cc
step "what is needed: Go" need_go
step "what is needed: strace" need_strace
step "what is needed: bash, zsh, fish" need_shells
step "what is needed: Docker" need_docker
sweep

step "format" cargo fmt --check
step "lints" cargo clippy --quiet --all-targets --features gate -- -D warnings
step "lints without features" cargo clippy --quiet --no-default-features -- -D warnings
step "docs" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --features gate
step "oracle: format, vet, tests" go_checks
# shellcheck disable=SC2086 # a list of words
step "oracle: binaries" oracle/build.sh $ORACLES payload
step "payload vectors are Go's" vectors
# Three releases of op-conductor are built too, on first use: about five minutes.
step "tests" tests
step "nothing left in Docker" nothing_left
step "the main job" main_job
echo "all passed"
