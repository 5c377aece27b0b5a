//go:build !boltv1

package main

import (
	"github.com/hashicorp/go-msgpack/v2/codec"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
)

type (
	boltStore = raftboltdb.BoltStore
	boltDB    = bolt.DB
	boltTx    = bolt.Tx
)

func (o storeOptions) bolt() (*bolt.Options, error) {
	options := *bolt.DefaultOptions
	options.PageSize = o.pageSize
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

// logHandle is what the store encodes a raft.Log with: raft-boltdb v2/util.go encodeMsgPack.
func logHandle() *codec.MsgpackHandle {
	return &codec.MsgpackHandle{BasicHandle: codec.BasicHandle{TimeNotBuiltin: true}}
}

func encodeMsgpack(value any) ([]byte, error) {
	var encoded []byte
	err := codec.NewEncoderBytes(&encoded, logHandle()).Encode(value)
	return encoded, err
}

func decodeMsgpack(encoded []byte, value any) error {
	return codec.NewDecoderBytes(encoded, logHandle()).Decode(value)
}
