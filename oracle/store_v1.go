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
	boltStore = raftboltdb.BoltStore
	boltDB    = bolt.DB
	boltTx    = bolt.Tx
)

// boltdb/bolt 1.3.1 takes the page size from the system and has no option for it.
func (o storeOptions) bolt() (*bolt.Options, error) {
	if o.pageSize != 0 && o.pageSize != os.Getpagesize() {
		return nil, fmt.Errorf("boltdb/bolt 1.3.1 writes pages of the system's %d bytes only, asked for %d", os.Getpagesize(), o.pageSize)
	}
	options := *bolt.DefaultOptions
	options.ReadOnly = o.readOnly
	options.Timeout = o.timeout
	return &options, nil
}

func openStore(path string, o storeOptions) (*boltStore, error) {
	options, err := o.bolt()
	if err != nil {
		return nil, err
	}
	return raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: options, NoSync: o.noSync})
}

func openDB(path string, o storeOptions) (*boltDB, error) {
	options, err := o.bolt()
	if err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, storeFileMode, options)
	if err != nil {
		return nil, err
	}
	db.NoSync = o.noSync
	return db, nil
}

// logHandle is what the store encodes a raft.Log with: raft-boltdb util.go encodeMsgPack.
func logHandle() *codec.MsgpackHandle { return &codec.MsgpackHandle{} }

func encodeMsgpack(value any) ([]byte, error) {
	var encoded []byte
	err := codec.NewEncoderBytes(&encoded, logHandle()).Encode(value)
	return encoded, err
}

func decodeMsgpack(encoded []byte, value any) error {
	return codec.NewDecoderBytes(encoded, logHandle()).Decode(value)
}
