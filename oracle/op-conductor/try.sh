#!/bin/sh
# Boots one unmodified op-conductor and the stub on loopback, on a state that `oracle write` makes with a payload, and
# waits for it to start the sequencer on that payload's block. Usage: try.sh VERSION PAYLOAD.ssz [HEAD], HEAD as the
# stub's --head. Exit status: 0 it started sequencing, 1 it didn't within 10 s.
set -eu
version=$1
payload=$2
head=${3:-seeded}
here=$(cd "$(dirname "$0")" && pwd)
oracle=$here/../bin/oracle-raft-1.7.3
dir=$(mktemp -d)
raft=51500 rpc=51501 stub=51502
consensus="--consensus.addr=127.0.0.1 --consensus.advertised=127.0.0.1:$raft"
# It has no --consensus.advertised, and listens on all addresses whatever --consensus.addr says.
[ "$version" != v0.1.0-rc.1 ] || consensus=--consensus.addr=127.0.0.1

address=$(printf '127.0.0.1:%s' $raft | od -An -v -tx1 | tr -d ' \n')
block=$(od -An -v -tx1 "$payload" | tr -d ' \n')
"$oracle" write <<PLAN
{"nodes": [{"dir": "$dir/sequencer-1",
  "log": [
    {"index": 1, "term": 1, "type": 5, "configuration": {"servers": [{"suffrage": 0, "id": "sequencer-1", "address": "127.0.0.1:$raft"}]}},
    {"index": 2, "term": 1, "type": 0, "data": "$block"},
    {"index": 3, "term": 2, "type": 1}
  ],
  "stable": [{"key": "CurrentTerm", "uint64": 2}, {"key": "LastVoteTerm", "uint64": 2}, {"key": "LastVoteCand", "bytes": "$address"}]
}]}
PLAN

: >"$dir/stub.jsonl"
"$here/../bin/stub" --addr 127.0.0.1:$stub --head-file "$payload" --head "$head" >>"$dir/stub.jsonl" &
stub_pid=$!
# shellcheck disable=SC2086 # several flags in one word
"$here/../bin/op-conductor-$version" $consensus --consensus.port=$raft \
    --raft.server.id=sequencer-1 --raft.storage.dir="$dir" --raft.bootstrap=false \
    --node.rpc=http://127.0.0.1:$stub --execution.rpc=http://127.0.0.1:$stub --rollup.config="$here/rollup.json" \
    --healthcheck.interval=1 --healthcheck.unsafe-interval=10 --healthcheck.min-peer-count=1 \
    --rpc.addr=127.0.0.1 --rpc.port=$rpc --log.level=DEBUG --log.format=logfmt >"$dir/stdout" 2>"$dir/stderr" &
conductor_pid=$!
trap 'kill $conductor_pid $stub_pid; wait; rm -r "$dir"' EXIT

tries=0
until grep -q '"event":"admin_startSequencer".*"result":"ok"' "$dir/stub.jsonl"; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ]; then
        echo "$version, $head: expected admin_startSequencer within 10 s, found" >&2
        cat "$dir/stub.jsonl" >&2
        grep 'lvl=\(error\|warn\)' "$dir/stdout" | tail -5 >&2
        exit 1
    fi
    sleep 0.1
done
grep 'admin_' "$dir/stub.jsonl"
