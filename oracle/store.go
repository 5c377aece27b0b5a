package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// File and bucket names and the mode: raft-boltdb bolt_store.go, op-conductor consensus/raft.go NewRaftConsensus.
const (
	logFile       = "raft-log.db"
	stableFile    = "raft-stable.db"
	logBucket     = "logs"
	stableBucket  = "conf"
	storeFileMode = 0o600
)

// storeOptions are the few things that tests vary; the zero value opens as raft-boltdb's NewBoltStore does.
type storeOptions struct {
	pageSize int
	noSync   bool
	readOnly bool
	timeout  time.Duration
}

// readOnlyOptions give up instead of waiting for a running node's lock.
func readOnlyOptions() storeOptions {
	return storeOptions{readOnly: true, timeout: time.Second}
}

// stores are the two files of one server.
type stores struct {
	log    *boltStore
	stable *boltStore
}

func openStores(dir string, o storeOptions) (*stores, error) {
	log, err := openStore(filepath.Join(dir, logFile), o)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", logFile, dir, err)
	}
	stable, err := openStore(filepath.Join(dir, stableFile), o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s of %s: %w", stableFile, dir, err), log.Close())
	}
	return &stores{log, stable}, nil
}

func (s *stores) Close() error {
	return errors.Join(s.log.Close(), s.stable.Close())
}

// requireFile refuses a path that isn't there: bbolt before 1.4 creates the file even when it opens read-only.
func requireFile(path string) error {
	_, err := os.Stat(path)
	return err
}

func (o storeOptions) bolt() (*boltOptions, error) {
	options := *defaultBoltOptions
	options.ReadOnly = o.readOnly
	options.Timeout = o.timeout
	return &options, setPageSize(&options, o.pageSize)
}

func openStore(path string, o storeOptions) (*boltStore, error) {
	options, err := o.bolt()
	if err != nil {
		return nil, err
	}
	return newStore(storeSettings{Path: path, BoltOptions: options, NoSync: o.noSync})
}

func openDB(path string, o storeOptions) (*boltDB, error) {
	options, err := o.bolt()
	if err != nil {
		return nil, err
	}
	db, err := openBolt(path, storeFileMode, options)
	if err != nil {
		return nil, err
	}
	db.NoSync = o.noSync
	return db, nil
}

func encodeMsgpack(value any) ([]byte, error) {
	var encoded []byte
	err := newMsgpackEncoder(&encoded, logHandle()).Encode(value)
	return encoded, err
}

func decodeMsgpack(encoded []byte, value any) error {
	return newMsgpackDecoder(encoded, logHandle()).Decode(value)
}
