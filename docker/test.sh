#!/usr/bin/env bash
# ./test.sh test      builds, generates, verifies, boots three unmodified op-conductors and their stubs, waits until the
#                     named leader sequences, and tears all of it down; the exit status tells
# ./test.sh inspect   info and verify of what was generated
set -euo pipefail
cd "$(dirname "$0")"
leader=sequencer-2
head=../tests/vectors/payload/v3.ssz

tool() {
    cargo run --quiet --release --manifest-path ../Cargo.toml -- "$@"
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --project-name op-conductor-init-test --file compose.yaml "$@"
    elif command -v docker-compose >/dev/null; then
        docker-compose --project-name op-conductor-init-test --file compose.yaml "$@"
    else
        echo "test.sh needs docker compose, or docker-compose (apt-get install docker-compose)" >&2
        exit 2
    fi
}

generate() {
    mkdir -p work
    cp "$head" work/head.ssz
    # op-conductor writes to it as root.
    docker run --rm --user 0 --volume "$PWD/work:/work" op-conductor-init:local generate --force \
        --nodes sequencer-1:50050,sequencer-2:50050,sequencer-3:50050 \
        --server-ids sequencer-1,sequencer-2,sequencer-3 --initial-leader "$leader" \
        --unsafe-head /work/head.ssz --output-dir /work/raft-state
}

# The sequencers that were started, by their stubs' own words.
started() {
    compose logs --no-color | grep '"event":"admin_startSequencer"' | grep '"result":"ok"' |
        sed -E 's/^(op-conductor-init-test[-_])?stub-([0-9]).*/sequencer-\2/' | sort -u
}

boot() {
    trap 'compose down --volumes >/dev/null 2>&1' EXIT
    compose up --detach
    for _ in $(seq 60); do
        [ -z "$(started)" ] || break
        sleep 1
    done
    sleep 2
    local found
    found=$(started)
    if [ "$found" != "$leader" ]; then
        compose logs --no-color | tail -50 >&2
        echo "FAILED: expected the sequencer of $leader alone to be started within 60 s, found: ${found:-none}" >&2
        exit 1
    fi
    echo "PASSED: $leader leads and sequences"
}

case ${1:-} in
test)
    ../oracle/image.sh "op-conductor:${RELEASE:-v0.9.4}" stub
    ./build.sh
    generate
    tool verify --state-dir work/raft-state
    boot
    ;;
inspect)
    [ -d work/raft-state ] || { echo "nothing was generated yet: ./test.sh test" >&2; exit 2; }
    tool info --state-dir work/raft-state
    tool verify --state-dir work/raft-state
    ;;
*)
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
    ;;
esac
