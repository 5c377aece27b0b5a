# Lists the recipes
default:
    @just --list

# Build the release binary
build:
    cargo build --release

# All checks and tests, as CI runs them
test:
    ./tests/run.sh

# Build, then generate and verify an example
test-run: build
    #!/usr/bin/env bash
    set -euo pipefail
    dir=$(mktemp -d)
    trap 'rm -r "$dir"' EXIT
    target/release/op-conductor-init generate --nodes seq-1:50050,seq-2:50050,seq-3:50050 \
        --server-ids sequencer-1,sequencer-2,sequencer-3 --initial-leader sequencer-1 --output-dir "$dir/raft-state"
    target/release/op-conductor-init verify --state-dir "$dir/raft-state"

# Format, clippy and docs, with warnings denied
lint:
    cargo fmt --check
    cargo clippy --all-targets --features gate -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features gate

# The Go oracle, for all versions of raft
oracle:
    oracle/build.sh
