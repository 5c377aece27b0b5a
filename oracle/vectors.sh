#!/bin/sh
# Remakes tests/vectors/payload (or the directory given) with op-service/eth and op-geth. Same bytes each time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../tests/vectors/payload}
"$here/build.sh" payload >/dev/null

payload() {
    name=$1
    shift
    "$here/bin/payload" --out "$out/$name" "$@"
}

v3=$(payload v3 --version v3 --number 100 --tx-size 60)
payload v4 --version v4 --number 101 --parent "$v3" --tx-size 60 >/dev/null
payload v4-3-txs --version v4 --number 101 --parent "$v3" --txs 3 --tx-size 60 >/dev/null
payload v3-no-txs --version v3 --number 101 --parent "$v3" --txs 0 >/dev/null
payload v2 --version v2 --number 99 --tx-size 60 >/dev/null
payload v3-isthmus --version v4 --no-withdrawals --number 101 --parent "$v3" --tx-size 60 >/dev/null
payload v4-tx-types --version v4 --tx-types --number 101 --parent "$v3" --tx-size 60 >/dev/null
payload v4-base-fee --version v4 --base-fee 1208925819614629174706176 --number 101 --parent "$v3" --tx-size 60 >/dev/null
