//go:build boltv1

package main

import (
	"fmt"
	"os"

	bolt "github.com/boltdb/bolt"
	"github.com/hashicorp/go-msgpack/codec"
	raftboltdb "github.com/hashicorp/raft-boltdb"
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

// setPageSize refuses other sizes: boltdb/bolt 1.3.1 takes the system's and has no option for it.
func setPageSize(_ *boltOptions, pageSize int) error {
	if pageSize != 0 && pageSize != os.Getpagesize() {
		return fmt.Errorf("boltdb/bolt 1.3.1 writes pages of the system's %d bytes only, asked for %d", os.Getpagesize(), pageSize)
	}
	return nil
}

// logHandle is what the store encodes a raft.Log with: raft-boltdb util.go encodeMsgPack.
func logHandle() *codec.MsgpackHandle { return &codec.MsgpackHandle{} }
