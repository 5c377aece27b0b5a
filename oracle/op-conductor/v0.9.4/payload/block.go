package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/ethereum-optimism/optimism/op-service/eth"
)

var chainID = big.NewInt(901)

// made is a hash where a real chain's would stand.
func made(name string) common.Hash { return crypto.Keccak256Hash([]byte(name)) }

// makeBlock fills every field with something else than zero, so that a mixed-up order shows.
func makeBlock(s spec) (*types.Block, error) {
	txs, err := makeTxs(s)
	if err != nil {
		return nil, err
	}
	header := &types.Header{
		ParentHash:  s.parent,
		UncleHash:   types.EmptyUncleHash,
		Coinbase:    common.HexToAddress("0x4200000000000000000000000000000000000011"),
		Root:        made("state"),
		TxHash:      types.DeriveSha(txs, trie.NewStackTrie(nil)),
		ReceiptHash: made("receipts"),
		Bloom:       types.BytesToBloom([]byte{0x80, 1, 2, 3}),
		Difficulty:  common.Big0,
		Number:      new(big.Int).SetUint64(s.number),
		GasLimit:    30_000_000,
		GasUsed:     46_913,
		Time:        s.time,
		MixDigest:   made("randao"),
		BaseFee:     s.baseFee.ToBig(),
		Extra:       []byte{},
	}
	if err := addForks(header, s); err != nil {
		return nil, err
	}
	body := types.Body{Transactions: txs, Withdrawals: types.Withdrawals{}}
	return types.NewBlockWithHeader(header).WithBody(body), nil
}

// addForks adds what Canyon, Ecotone and Isthmus added to the header.
func addForks(header *types.Header, s spec) error {
	beacon := made("beacon")
	switch s.version {
	case "v2":
		header.WithdrawalsHash = &types.EmptyWithdrawalsHash
	case "v3":
		header.WithdrawalsHash = &types.EmptyWithdrawalsHash
		header.BlobGasUsed, header.ExcessBlobGas, header.ParentBeaconRoot = new(uint64), new(uint64), &beacon
	case "v4":
		// Isthmus puts the storage root of the message passer here, and Holocene its fee parameters into Extra.
		storage := made("message passer")
		if s.noWithdrawals {
			storage = types.EmptyWithdrawalsHash
		}
		header.WithdrawalsHash = &storage
		header.BlobGasUsed, header.ExcessBlobGas, header.ParentBeaconRoot = new(uint64), new(uint64), &beacon
		header.RequestsHash = &types.EmptyRequestsHash
		header.Extra = []byte{0, 0, 0, 0, 250, 0, 0, 0, 6}
	default:
		return fmt.Errorf("expected version v2, v3 or v4, found %q", s.version)
	}
	return nil
}

func makeTxs(s spec) (types.Transactions, error) {
	if s.txTypes {
		return oneOfEachType(s)
	}
	key := crypto.ToECDSAUnsafe(made("key").Bytes())
	signer := types.LatestSignerForChainID(chainID)
	var txs types.Transactions
	for i := range s.txs {
		if i == 0 {
			txs = append(txs, depositTx(s))
			continue
		}
		tx, err := types.SignNewTx(key, signer, &types.DynamicFeeTx{
			ChainID: chainID, Nonce: uint64(i), GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(1 << 42), Gas: 21_000,
			To: &common.Address{0x42, 1}, Value: big.NewInt(int64(i)), Data: input(i, s.txSize),
		})
		if err != nil {
			return nil, err
		}
		txs = append(txs, tx)
	}
	return txs, nil
}

// depositTx looks like the first one of each block, which carries L1's attributes.
func depositTx(s spec) *types.Transaction {
	return types.NewTx(&types.DepositTx{
		SourceHash: made("source"), From: common.HexToAddress("0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001"),
		To: &common.Address{0: 0x42, 19: 0x15}, Value: common.Big0, Gas: 1_000_000, Data: input(0, s.txSize),
	})
}

// oneOfEachType has every transaction that an OP Stack block can hold, the rarer forms of deposits included.
func oneOfEachType(s spec) (types.Transactions, error) {
	key := crypto.ToECDSAUnsafe(made("key").Bytes())
	to := &common.Address{0x42, 1}
	chain := uint256.MustFromBig(chainID)
	list := types.AccessList{{Address: *to, StorageKeys: []common.Hash{made("slot"), {}}}, {Address: common.Address{2}, StorageKeys: []common.Hash{}}}
	authorization, err := types.SignSetCode(key, types.SetCodeAuthorization{ChainID: *chain, Address: *to, Nonce: 7})
	if err != nil {
		return nil, err
	}
	txs := types.Transactions{
		depositTx(s),
		types.NewTx(&types.DepositTx{
			SourceHash: made("minted"), From: common.Address{9}, To: to, Mint: big.NewInt(1e18), Value: big.NewInt(1e17), Gas: 21_000,
		}),
		types.NewTx(&types.DepositTx{
			SourceHash: made("created"), From: common.Address{9}, Mint: new(big.Int), Value: new(big.Int), Gas: 1, Data: input(1, 40),
		}),
		types.NewTx(&types.DepositTx{
			SourceHash: made("system"), From: common.Address{9}, To: to, Value: new(big.Int), Gas: 1, IsSystemTransaction: true,
		}),
	}
	price, latest := big.NewInt(1<<42), types.LatestSignerForChainID(chainID)
	for _, signed := range []struct {
		signer types.Signer
		tx     types.TxData
	}{
		{types.HomesteadSigner{}, &types.LegacyTx{Nonce: 0, GasPrice: price, Gas: 21_000, To: to, Value: common.Big1}},
		{latest, &types.LegacyTx{Nonce: 1, GasPrice: price, Gas: 90_000, Value: common.Big0, Data: input(2, 50)}},
		{latest, &types.AccessListTx{ChainID: chainID, Nonce: 2, GasPrice: price, Gas: 30_000, To: to, Value: common.Big2, AccessList: list}},
		{latest, &types.DynamicFeeTx{
			ChainID: chainID, Nonce: 3, GasTipCap: common.Big1, GasFeeCap: price, Gas: 90_000, Value: common.Big0, Data: input(3, 50), AccessList: list,
		}},
		{latest, &types.SetCodeTx{
			ChainID: chain, Nonce: 4, GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.MustFromBig(price), Gas: 90_000, To: *to,
			Value: uint256.NewInt(3), AccessList: list, AuthList: []types.SetCodeAuthorization{authorization},
		}},
	} {
		tx, err := types.SignNewTx(key, signed.signer, signed.tx)
		if err != nil {
			return nil, err
		}
		txs = append(txs, tx)
	}
	return txs, nil
}

func input(seed, size int) []byte {
	stream := make([]byte, 0, size+common.HashLength)
	for counter := uint64(0); len(stream) < size; counter++ {
		stream = append(stream, made(string(binary.BigEndian.AppendUint64([]byte{byte(seed)}, counter))).Bytes()...)
	}
	return stream[:size]
}

func asEnvelope(block *types.Block, version string) *eth.ExecutionPayloadEnvelope {
	payload := &eth.ExecutionPayload{
		ParentHash:    block.ParentHash(),
		FeeRecipient:  block.Coinbase(),
		StateRoot:     eth.Bytes32(block.Root()),
		ReceiptsRoot:  eth.Bytes32(block.ReceiptHash()),
		LogsBloom:     eth.Bytes256(block.Bloom()),
		PrevRandao:    eth.Bytes32(block.MixDigest()),
		BlockNumber:   eth.Uint64Quantity(block.NumberU64()),
		GasLimit:      eth.Uint64Quantity(block.GasLimit()),
		GasUsed:       eth.Uint64Quantity(block.GasUsed()),
		Timestamp:     eth.Uint64Quantity(block.Time()),
		ExtraData:     block.Extra(),
		BaseFeePerGas: eth.Uint256Quantity(*uint256.MustFromBig(block.BaseFee())),
		BlockHash:     block.Hash(),
		Withdrawals:   &types.Withdrawals{},
		BlobGasUsed:   (*eth.Uint64Quantity)(block.BlobGasUsed()),
		ExcessBlobGas: (*eth.Uint64Quantity)(block.ExcessBlobGas()),
	}
	for _, tx := range block.Transactions() {
		// Only a blob transaction with a sidecar can fail here.
		encoded, _ := tx.MarshalBinary()
		payload.Transactions = append(payload.Transactions, encoded)
	}
	if version == "v4" {
		payload.WithdrawalsRoot = block.WithdrawalsRoot()
	}
	return &eth.ExecutionPayloadEnvelope{ExecutionPayload: payload, ParentBeaconBlockRoot: block.BeaconRoot()}
}

// object is JSON under construction.
type object map[string]any

// toObject leaves null fields out, as a node's answer does.
func toObject(value json.Marshaler) (object, error) {
	encoded, err := value.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var decoded object
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return nil, err
	}
	maps.DeleteFunc(decoded, func(_ string, value any) bool { return value == nil })
	return decoded, nil
}

// rpcBlock puts together what op-geth's internal/ethapi RPCMarshalBlock does, which can't be imported: header and
// transactions by their own encoders, then the fields that a node adds.
func rpcBlock(block *types.Block) (object, error) {
	answer, err := toObject(block.Header())
	if err != nil {
		return nil, err
	}
	txs := []object{}
	for i, tx := range block.Transactions() {
		added, err := rpcTx(block, i, tx)
		if err != nil {
			return nil, err
		}
		txs = append(txs, added)
	}
	answer["size"] = hexutil.Uint64(block.Size())
	answer["transactions"] = txs
	answer["uncles"] = []common.Hash{}
	answer["withdrawals"] = block.Withdrawals()
	return answer, nil
}

func rpcTx(block *types.Block, index int, tx *types.Transaction) (object, error) {
	answer, err := toObject(tx)
	if err != nil {
		return nil, err
	}
	answer["blockHash"] = block.Hash()
	answer["blockNumber"] = (*hexutil.Big)(block.Number())
	answer["transactionIndex"] = hexutil.Uint64(index)
	if tx.IsDepositTx() {
		if !tx.IsSystemTx() {
			delete(answer, "isSystemTx")
		}
		maps.Copy(answer, object{"gasPrice": "0x0", "nonce": "0x1", "v": "0x0", "r": "0x0", "s": "0x0", "depositReceiptVersion": "0x1"})
		return answer, nil
	}
	from, err := types.Sender(types.LatestSignerForChainID(chainID), tx)
	if err != nil {
		return nil, err
	}
	answer["from"] = from
	answer["gasPrice"] = (*hexutil.Big)(new(big.Int).Add(block.BaseFee(), tx.EffectiveGasTipValue(block.BaseFee())))
	return answer, nil
}
