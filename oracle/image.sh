#!/bin/sh
# Makes an image FROM scratch of each binary, which it builds first. Arguments as build.sh; plain `docker build`, nothing
# is pulled.
set -eu
cd "$(dirname "$0")"

if ! docker version >/dev/null 2>&1; then
    echo "oracle/image.sh needs a running Docker daemon: start it, or set DOCKER_HOST" >&2
    exit 2
fi

# The context is the Dockerfile and the one binary, so that nothing else in bin/ is sent to the daemon.
image() {
    tar -c Dockerfile -C bin "$1" | docker build --quiet --build-arg "BINARY=$1" --tag "$2" - >/dev/null
    echo "$2"
}

binaries=$(./build.sh "$@")
for binary in $binaries; do
    name=${binary#oracle/bin/}
    case $name in
    oracle-*) image "$name" "op-conductor-init/oracle:${name#oracle-}" ;;
    stub) image "$name" op-conductor-init/stub:latest ;;
    op-conductor-*) image "$name" "op-conductor-init/op-conductor:${name#op-conductor-}" ;;
    esac
done
