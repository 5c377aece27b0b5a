#!/usr/bin/env bash
# Renders the gate's page in a real browser, light, dark and printed, into target/pages, and compares its numbers with the
# JSON of the same run. Installs Chromium where it may: on Debian as root, from apt. More arguments are gate's.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- --target raft:1.7.3 --upgrade raft:1.7.3..raft:1.8.0
out=$PWD/target/pages
mkdir -p "$out"

if ! command -v chromium >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "tests/pages.sh needs Chromium: install it and put it on the PATH" >&2
        exit 2
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi

# A failed target has a page too.
cargo run --quiet --features gate -- gate "$@" --html "$out/gate.html" --format json >"$out/gate.json" || [ $? = 1 ]

browser() {
    chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1100,2400 "$@" \
        "file://$out/gate.html" 2>/dev/null
}
browser --screenshot="$out/light.png"
browser --screenshot="$out/dark.png" --force-dark-mode --blink-settings=preferredColorScheme=0
browser --print-to-pdf="$out/print.pdf" --no-pdf-header-footer

dom=$(browser --dump-dom)
# expect WHAT COUNT: the browser's page has as many as the JSON.
expect() {
    local found
    found=$({ grep -o "$1" || true; } <<<"$dom" | wc -l)
    [ "$found" = "$2" ] || { echo "expected $2 times $1, found $found" >&2; exit 1; }
}
events() {
    grep -c "\"event\": \"$1\"" "$out/gate.json" || true
}
expect '<li>' "$(grep -c '"event":' "$out/gate.json")"
expect '<rect class="leader"' "$(events leader)"
expect '<rect class="candidate"' "$(events candidate)"
expect '<rect class="sequencing"' "$(events sequencing)"
expect '<section' "$(grep -c '"target":' "$out/gate.json")"
echo "$out: light.png, dark.png, print.pdf"
