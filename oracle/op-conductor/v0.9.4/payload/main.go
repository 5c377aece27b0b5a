// Command payload makes a block with op-service/eth and op-geth, and writes it in the three forms in which
// op-conductor-init takes an unsafe head: the SSZ envelope, the answer of engine_getPayload, and the answer of
// eth_getBlockByNumber. Same flags, same bytes.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/ethereum-optimism/optimism/op-service/eth"
)

type spec struct {
	version string
	number  uint64
	parent  common.Hash
	time    uint64
	txs     int
	txSize  int
	baseFee uint256.Int
	// One transaction of each type, instead of txs.
	txTypes bool
	// A chain of Isthmus from which nothing was ever withdrawn.
	noWithdrawals bool
}

func main() {
	var s spec
	var parent, out, baseFee string
	flag.StringVar(&s.version, "version", "v3", "v3 (Ecotone), v4 (Isthmus), or v2 (Canyon: it has no SSZ envelope)")
	flag.Uint64Var(&s.number, "number", 1, "block number")
	flag.StringVar(&parent, "parent", "0x01", "parent hash")
	flag.Uint64Var(&s.time, "time", 1_700_000_000, "timestamp in seconds")
	flag.IntVar(&s.txs, "txs", 1, "transactions; the first is a deposit, the others have a dynamic fee")
	flag.IntVar(&s.txSize, "tx-size", 100, "bytes of input of a transaction")
	flag.StringVar(&baseFee, "base-fee", "4328719365", "base fee per gas in wei")
	flag.BoolVar(&s.txTypes, "tx-types", false, "one transaction of each type, instead of --txs")
	flag.BoolVar(&s.noWithdrawals, "no-withdrawals", false, "v4: the withdrawals root of a chain from which nothing was ever withdrawn")
	flag.StringVar(&out, "out", "payload", "`path` without ending; .ssz, .engine.json and .block.json are added")
	flag.Parse()
	s.parent = common.HexToHash(parent)
	err := s.baseFee.SetFromDecimal(baseFee)
	if err == nil {
		err = run(s, out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(2)
	}
}

func run(s spec, out string) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	block, err := makeBlock(s)
	if err != nil {
		return err
	}
	if s.version != "v2" {
		if err := writeSSZ(block, s, out+".ssz"); err != nil {
			return err
		}
	}
	if err := writeJSON(engineAnswer(block, s.version), out+".engine.json"); err != nil {
		return err
	}
	rpc, err := rpcBlock(block)
	if err != nil {
		return err
	}
	if err := writeJSON(rpc, out+".block.json"); err != nil {
		return err
	}
	fmt.Println(block.Hash())
	return nil
}

// writeSSZ writes what op-conductor's log and snapshots hold, after reading it back as its FSM does.
func writeSSZ(block *types.Block, s spec, path string) error {
	envelope := asEnvelope(block, s.version)
	if actual, ok := envelope.CheckBlockHash(); !ok {
		return fmt.Errorf("expected block hash %s, found %s", envelope.ExecutionPayload.BlockHash, actual)
	}
	var encoded bytes.Buffer
	if _, err := envelope.MarshalSSZ(&encoded); err != nil {
		return err
	}
	tag := eth.BlockV3
	if s.version == "v4" && !s.noWithdrawals {
		tag = eth.BlockV4
	}
	var again eth.ExecutionPayloadEnvelope
	if err := again.UnmarshalSSZ(tag, uint32(encoded.Len()), bytes.NewReader(encoded.Bytes())); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	// What MarshalSSZ takes for a block before Isthmus has lost its withdrawals root, and with it its hash.
	if actual, ok := again.CheckBlockHash(); ok == s.noWithdrawals {
		return fmt.Errorf("read back: block hash %s, found %s: expected them to agree: %v", block.Hash(), actual, !s.noWithdrawals)
	}
	return os.WriteFile(path, encoded.Bytes(), 0o644)
}

// engineAnswer is op-geth's answer to engine_getPayloadV2, V3 or V4; what a version doesn't have stays out.
func engineAnswer(block *types.Block, version string) *engine.ExecutionPayloadEnvelope {
	var requests [][]byte
	if version == "v4" {
		requests = [][]byte{}
	}
	answer := engine.BlockToExecutableData(block, common.Big0, nil, requests)
	if version == "v2" {
		answer.BlobsBundle = nil
	}
	return answer
}

func writeJSON(value any, path string) error {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(encoded, '\n'), 0o644)
}
