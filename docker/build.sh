#!/usr/bin/env bash
# Builds a static binary and an image from scratch of it. Usage: build.sh [TAG]
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-op-conductor-init:local}
target=$(rustc -vV | sed -n 's/^host: //p')
# --target keeps the flag away from build scripts, which can't be static.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --release --features gate --target "$target"
tar -c -C docker Dockerfile -C "../target/$target/release" op-conductor-init | docker build --quiet --tag "$tag" - >/dev/null
echo "$tag"
