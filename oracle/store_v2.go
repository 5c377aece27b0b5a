//go:build !boltv1

package main

import (
	"github.com/hashicorp/go-msgpack/v2/codec"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
)

type (
	boltStore     = raftboltdb.BoltStore
	storeSettings = raftboltdb.Options
	boltDB        = bolt.DB
	boltTx        = bolt.Tx
	boltOptions   = bolt.Options
)

var (
	newStore           = raftboltdb.New
	openBolt           = bolt.Open
	defaultBoltOptions = bolt.DefaultOptions
	newMsgpackEncoder  = codec.NewEncoderBytes
	newMsgpackDecoder  = codec.NewDecoderBytes
)

func setPageSize(options *boltOptions, pageSize int) error {
	options.PageSize = pageSize
	return nil
}

// logHandle is what the store encodes a raft.Log with: raft-boltdb v2/util.go encodeMsgPack.
func logHandle() *codec.MsgpackHandle {
	return &codec.MsgpackHandle{BasicHandle: codec.BasicHandle{TimeNotBuiltin: true}}
}
