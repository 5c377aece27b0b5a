#!/bin/sh
# Builds static binaries into oracle/bin. Each argument is a raft version for the oracle, op-conductor:RELEASE for the
# unmodified op-conductor (a directory of oracle/op-conductor), stub or payload; without arguments, the oracle for every
# raft version. Quick when nothing changed.
set -eu
cd "$(dirname "$0")"
OPTIMISM=github.com/ethereum-optimism/optimism
RAFT_VERSIONS="1.6.1 1.7.1 1.7.3 1.8.0"

if ! command -v go >/dev/null; then
    echo "oracle/build.sh needs Go 1.26 or newer: install it and put it on the PATH" >&2
    exit 2
fi

# build OUTPUT PACKAGE VERSION FLAGS...: without version control's stamp, so that the bytes depend on the sources alone.
# VERSION is what a main package of op-conductor prints for --version, as upstream's justfile sets it.
build() {
    output=$1 package=$2 version=$3
    shift 3
    CGO_ENABLED=0 go build "$@" -trimpath -buildvcs=false -ldflags "-s -w -X main.Version=$version" -o "$output" "$package"
    echo "oracle/bin/$(basename "$output")"
}

raft() {
    output=bin/oracle-raft-$1
    case $1 in
    1.6.1) build "$output" . "" -modfile=versions/raft-1.6.1.mod -tags=boltv1 ;;
    1.7.3) build "$output" . "" ;;
    1.7.1 | 1.8.0) build "$output" . "" "-modfile=versions/raft-$1.mod" ;;
    *)
        echo "expected a raft version of $RAFT_VERSIONS, op-conductor:RELEASE, stub or payload, found $1" >&2
        exit 2
        ;;
    esac
}

# v1.19.6 embeds a file that isn't part of the module: builds from a copy of the module that has one. The code is
# unmodified, and go.sum holds for what is copied.
with_superchain() {
    copy=$PWD/bin/optimism-$1
    (
        cd "op-conductor/$1"
        go mod download "$OPTIMISM" >&2
        rm -rf "$copy" && mkdir -p "${copy%/*}"
        cp -R "$(go list -m -f '{{.Dir}}' "$OPTIMISM")" "$copy"
        chmod -R u+w "$copy"
        # For this machine, whatever the binary is built for.
        env -u GOOS -u GOARCH go run ./superchain "$copy/op-core/superchain"
        cp go.sum "$copy.sum"
        cp go.mod "$copy.mod"
        go mod edit -replace "$OPTIMISM=$copy" "$copy.mod"
    )
}

op_conductor() {
    if [ ! -f "op-conductor/$1/go.mod" ]; then
        echo "expected an op-conductor release of $(cd op-conductor && echo v*), found $1" >&2
        exit 2
    fi
    set -- "$1" "$PWD/bin/op-conductor-$1"
    if [ -d "op-conductor/$1/superchain" ]; then
        with_superchain "$1"
        build "$2" "$OPTIMISM/op-conductor/cmd" "$1" -C "op-conductor/$1" -modfile="$PWD/bin/optimism-$1.mod"
        rm -rf "$PWD/bin/optimism-$1" "$PWD/bin/optimism-$1.mod" "$PWD/bin/optimism-$1.sum"
    else
        build "$2" "$OPTIMISM/op-conductor/cmd" "$1" -C "op-conductor/$1"
    fi
}

[ $# -gt 0 ] || set -- $RAFT_VERSIONS
for wanted; do
    case $wanted in
    op-conductor:*) op_conductor "${wanted#op-conductor:}" ;;
    stub | payload) build "$PWD/bin/$wanted" "./$wanted" "" -C op-conductor/v0.9.4 ;;
    *) raft "$wanted" ;;
    esac
done
