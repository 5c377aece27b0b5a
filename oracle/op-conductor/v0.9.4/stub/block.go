package main

import (
	"bytes"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/ethereum-optimism/optimism/op-service/eth"
)

// block is a header and what the record shows of it.
type block struct {
	ref    eth.BlockRef
	header *types.Header
}

// fromEnvelope rebuilds the header, which must have the payload's hash.
func fromEnvelope(envelope *eth.ExecutionPayloadEnvelope) (block, error) {
	p := envelope.ExecutionPayload
	header := &types.Header{
		ParentHash:       p.ParentHash,
		UncleHash:        types.EmptyUncleHash,
		Coinbase:         p.FeeRecipient,
		Root:             common.Hash(p.StateRoot),
		TxHash:           types.DeriveSha(encodedTxs(p.Transactions), trie.NewStackTrie(nil)),
		ReceiptHash:      common.Hash(p.ReceiptsRoot),
		Bloom:            types.Bloom(p.LogsBloom),
		Difficulty:       common.Big0,
		Number:           new(big.Int).SetUint64(uint64(p.BlockNumber)),
		GasLimit:         uint64(p.GasLimit),
		GasUsed:          uint64(p.GasUsed),
		Time:             uint64(p.Timestamp),
		Extra:            p.ExtraData,
		MixDigest:        common.Hash(p.PrevRandao),
		BaseFee:          (*uint256.Int)(&p.BaseFeePerGas).ToBig(),
		WithdrawalsHash:  &types.EmptyWithdrawalsHash,
		BlobGasUsed:      (*uint64)(p.BlobGasUsed),
		ExcessBlobGas:    (*uint64)(p.ExcessBlobGas),
		ParentBeaconRoot: envelope.ParentBeaconBlockRoot,
	}
	if p.WithdrawalsRoot != nil {
		header.WithdrawalsHash, header.RequestsHash = p.WithdrawalsRoot, &types.EmptyRequestsHash
	}
	if header.Hash() != p.BlockHash {
		return block{}, fmt.Errorf("expected the block to have hash %s, found %s", p.BlockHash, header.Hash())
	}
	return fromHeader(header), nil
}

func fromHeader(header *types.Header) block {
	return block{eth.BlockRef{Hash: header.Hash(), Number: header.Number.Uint64(), ParentHash: header.ParentHash, Time: header.Time}, header}
}

// parent has the right hash and number; its header is another one, because nobody knows it.
func (b block) parent() block {
	made := fromHeader(b.neighbour(b.ref.Number-1, common.Hash{2}, b.ref.Time-2))
	made.ref.Hash = b.ref.ParentHash
	return made
}

func (b block) child() block {
	return fromHeader(b.neighbour(b.ref.Number+1, b.ref.Hash, b.ref.Time+2))
}

func (b block) neighbour(number uint64, parent common.Hash, time uint64) *types.Header {
	header := types.CopyHeader(b.header)
	header.Number, header.ParentHash, header.Time = new(big.Int).SetUint64(number), parent, time
	return header
}

// encodedTxs implements types.DerivableList.
type encodedTxs []eth.Data

func (t encodedTxs) Len() int { return len(t) }

func (t encodedTxs) EncodeIndex(i int, w *bytes.Buffer) { w.Write(t[i]) }
