#!/bin/sh
# Builds static binaries into oracle/bin. Each argument is a raft version for the oracle, op-conductor:VERSION for the
# unmodified op-conductor, stub or payload; without arguments, the oracle for every raft version. Quick when nothing
# changed.
set -eu
cd "$(dirname "$0")"
OPTIMISM=github.com/ethereum-optimism/optimism
RAFT_VERSIONS="1.6.1 1.7.1 1.7.3 1.8.0"

if ! command -v go >/dev/null; then
    echo "oracle/build.sh needs Go 1.25 or newer: install it and put it on the PATH" >&2
    exit 2
fi

# build OUTPUT PACKAGE FLAGS...: without version control's stamp, so that the bytes depend on the sources alone.
build() {
    output=$1
    package=$2
    shift 2
    CGO_ENABLED=0 go build "$@" -trimpath -buildvcs=false -ldflags '-s -w' -o "$output" "$package"
    echo "oracle/bin/$(basename "$output")"
}

raft() {
    output=bin/oracle-raft-$1
    case $1 in
    1.6.1) build "$output" . -modfile=versions/raft-1.6.1.mod -tags=boltv1 ;;
    1.7.3) build "$output" . ;;
    1.7.1 | 1.8.0) build "$output" . "-modfile=versions/raft-$1.mod" ;;
    *)
        echo "expected a raft version of $RAFT_VERSIONS, op-conductor:VERSION, stub or payload, found $1" >&2
        exit 2
        ;;
    esac
}

op_conductor() {
    if [ ! -f "op-conductor/$1/go.mod" ]; then
        echo "expected an op-conductor version of $(cd op-conductor && echo *), found $1" >&2
        exit 2
    fi
    build "$PWD/bin/op-conductor-$1" "$OPTIMISM/op-conductor/cmd" -C "op-conductor/$1"
}

[ $# -gt 0 ] || set -- $RAFT_VERSIONS
for wanted; do
    case $wanted in
    op-conductor:*) op_conductor "${wanted#op-conductor:}" ;;
    stub | payload) build "$PWD/bin/$wanted" "./$wanted" -C op-conductor/v1.19.0 ;;
    *) raft "$wanted" ;;
    esac
done
