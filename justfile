# Shows the recipes.
default:
    @{{just_executable()}} --list

# Build the program for use.
build:
    cargo build --release

# Run all tests, and install or start what they miss where that is possible.
test:
    ./tests/run.sh

# Build, then generate the state of an example cluster and verify it.
test-run:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release
    state="$(mktemp -d)"
    trap 'rm -rf "$state"' EXIT
    run="${CARGO_TARGET_DIR:-target}/release/op-conductor-init"
    "$run" generate --nodes sequencer-1:50050,sequencer-2:50050,sequencer-3:50050 \
        --server-ids sequencer-1,sequencer-2,sequencer-3 --initial-leader sequencer-1 --output-dir "$state"
    "$run" verify --state-dir "$state"

# Check the format, and let clippy look at everything.
lint:
    cargo fmt --check
    cargo clippy --all-targets --features gate -- -D warnings

# Take what the program prints now as the snapshots; then read `git diff tests/it/snapshots` like code.
bless *ARGS:
    INSTA_UPDATE=always INSTA_FORCE_PASS=1 cargo test --test it {{ARGS}}
    git diff --stat -- 'tests/*/snapshots'

# Look at what has changed in the snapshots one by one, and accept or reject it (needs cargo-insta).
review *ARGS:
    cargo insta test --review --test it {{ARGS}}

# Format the code.
fmt:
    cargo fmt

# Run the benches (about a minute); a filter as in `just bench entry/encode`.
bench *ARGS:
    cargo bench -- {{ARGS}}

# Compare with Go, on the same work in the same run; options as in `just bench-go --rounds 15`.
bench-go *ARGS:
    test -x oracle/bin/oracle-raft-1.7.3 || oracle/build.sh 1.7.3
    cargo run --release --example bench-go -- {{ARGS}}

# Compare long logs with Go, `cp` and `dd`, and write the table to benches/RESULTS.md.
bench-compare *ARGS:
    test -x oracle/bin/oracle-raft-1.7.3 || oracle/build.sh 1.7.3
    cargo run --release --example bench-go -- --entries 100000 --rounds 5 --results benches/RESULTS.md {{ARGS}}

# Build the Go oracle (all versions, or as in `just oracle 1.7.3`).
oracle *ARGS:
    oracle/build.sh {{ARGS}}

# Fuzz a target for so many seconds, as in `just fuzz bolt_check 60` (needs nightly Rust and cargo-fuzz).
fuzz TARGET SECONDS:
    cargo +nightly fuzz run --sanitizer none {{TARGET}} -- -max_total_time={{SECONDS}} -max_len=65536 -timeout=10 -rss_limit_mb=512

# Check the plans in a model of raft within wide bounds (docs/MODEL.md has the table).
model *ARGS:
    MODEL=long cargo test --profile model --no-default-features --test model -- --nocapture --test-threads 1 {{ARGS}}

# Let Go and verify judge N changed directories, and print the table (20,000 take about five minutes).
differential N:
    test -x oracle/bin/oracle-raft-1.8.0 || oracle/build.sh 1.8.0
    DIFFERENTIAL_COUNT={{N}} cargo test --features gate --test oracle differential -- --nocapture

# Let N real clusters live, damage their disks, let verify look and boot what is left (5,000 take a quarter of an hour).
cluster-differential N:
    oracle/build.sh 1.7.3 1.8.0
    CLUSTER_HISTORIES={{N}} cargo test --features gate --test oracle cluster_histories -- --nocapture

# Render the gate's page in headless Chromium, to look at in target/pages; arguments are gate's.
pages *ARGS:
    ./tests/pages.sh {{ARGS}}

# Boot the sample cluster on every release that builds, and roll it from each to the next and back (a quarter of an hour;
# the first time, builds take two minutes each besides). docs/RELEASES.md has the result.
releases:
    cargo run --features gate -- gate --target v0.1.0,v1.12.2,v0.7.3,v0.9.3,v0.9.4,v1.19.6 \
        --upgrade v0.1.0..v1.12.2,v1.12.2..v0.7.3,v0.7.3..v0.9.3,v0.9.3..v0.9.4,v0.9.4..v1.19.6,v0.1.0..v1.19.6 \
        --html target/releases.html

# Lint the action, as the example workflow uses it (go install github.com/rhysd/actionlint/cmd/actionlint@latest).
actions:
    #!/usr/bin/env bash
    set -euo pipefail
    place="$(mktemp -d)"
    trap 'rm -rf "$place"' EXIT
    mkdir -p "$place/.github/workflows"
    cp action.yml "$place"
    sed 's#OWNER/op-conductor-init@REF#./#' docs/ci/github-workflow.yml >"$place/.github/workflows/state.yml"
    cd "$place" && git init --quiet && actionlint

# Kill the verbs that write, and let their calls fail, at each place they can (as root, with strace; tests/attack/README.md).
attack ROUNDS="200":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build
    export PROGRAM="$PWD/${CARGO_TARGET_DIR:-target}/debug/op-conductor-init"
    python3 tests/attack/kill.py {{ROUNDS}}
    for attack in twice guard full_disk fault; do python3 "tests/attack/$attack.py"; done
