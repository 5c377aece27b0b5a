package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// state is what real raft would read from a server's directory.
type state struct {
	Log       logState        `json:"log"`
	Stable    []stableValue   `json:"stable"`
	Snapshots []snapshotState `json:"snapshots,omitempty"`
}

// logState stops at the first entry that GetLog doesn't give, because NewRaft would panic there.
type logState struct {
	First   uint64  `json:"first"`
	Last    uint64  `json:"last"`
	Count   uint64  `json:"count"`
	SHA256  string  `json:"sha256"`
	Error   string  `json:"error,omitempty"`
	Entries []entry `json:"entries,omitempty"`
}

type stableValue struct {
	Key   string   `json:"key"`
	Value hexBytes `json:"value"`
}

type snapshotState struct {
	ID                 string         `json:"id"`
	Index              uint64         `json:"index"`
	Term               uint64         `json:"term"`
	Configuration      *configuration `json:"configuration"`
	ConfigurationIndex uint64         `json:"configuration_index"`
	Size               int64          `json:"size"`
	Error              string         `json:"error,omitempty"`
	Data               hexBytes       `json:"data"`
}

func runRead(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("read", flag.ExitOnError)
	dir := flags.String("dir", "", "the server's `directory`, with both stores (required)")
	limit := flags.Uint64("limit", ^uint64(0), "print at most `n` entries; all are counted and hashed")
	quiet := flags.Bool("quiet", false, "print no entries")
	snapshots := flags.Bool("snapshots", false, "read snapshots too; raft's store writes a test file into the directory and removes it")
	_ = flags.Parse(args)
	if *dir == "" {
		return errors.New("--dir is required")
	}
	if *quiet {
		*limit = 0
	}
	var s state
	err := guard(func() (err error) {
		s, err = readState(*dir, *limit)
		return err
	})
	if err == nil && *snapshots {
		s.Snapshots, err = readSnapshots(*dir)
	}
	if err != nil {
		return err
	}
	if err := printJSON(os.Stdout, s); err != nil {
		return err
	}
	if s.Log.Error != "" {
		return errFound
	}
	return nil
}

func readState(dir string, limit uint64) (state, error) {
	for _, name := range []string{logFile, stableFile} {
		if err := requireFile(filepath.Join(dir, name)); err != nil {
			return state{}, err
		}
	}
	s, err := openStores(dir, readOnlyOptions())
	if err != nil {
		return state{}, err
	}
	defer s.Close()
	log, err := readLog(s.log, limit)
	if err != nil {
		return state{}, err
	}
	stable, err := readStable(s.stable, filepath.Join(dir, stableFile))
	return state{Log: log, Stable: stable}, err
}

func readLog(store *boltStore, limit uint64) (logState, error) {
	first, err := store.FirstIndex()
	if err != nil {
		return logState{}, err
	}
	last, err := store.LastIndex()
	if err != nil {
		return logState{}, err
	}
	answer := logState{First: first, Last: last}
	sum := sha256.New()
	for index := first; index != 0 && index <= last; index++ {
		var log raft.Log
		if err := store.GetLog(index, &log); err != nil {
			answer.Error = fmt.Sprintf("index %d: %v", index, err)
			break
		}
		e, err := fromRaftLog(&log)
		if err != nil {
			answer.Error = fmt.Sprintf("index %d: %v", index, err)
			break
		}
		hashEntry(sum, &log)
		if answer.Count < limit {
			answer.Entries = append(answer.Entries, e)
		}
		answer.Count++
	}
	answer.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return answer, nil
}

// hashEntry adds index, term, type, length and bytes of data, length and bytes of extensions; numbers are big-endian
// u64, the type is one byte. The time is left out: two nodes store one entry at different times.
func hashEntry(sum hash.Hash, log *raft.Log) {
	head := binary.BigEndian.AppendUint64(nil, log.Index)
	head = binary.BigEndian.AppendUint64(head, log.Term)
	head = append(head, byte(log.Type))
	head = binary.BigEndian.AppendUint64(head, uint64(len(log.Data)))
	sum.Write(head)
	sum.Write(log.Data)
	sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(log.Extensions))))
	sum.Write(log.Extensions)
}

// readStable lists the keys by bbolt, because raft-boltdb can't, and takes the values from raft-boltdb.
func readStable(store *boltStore, path string) ([]stableValue, error) {
	db, err := openDB(path, readOnlyOptions())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	values := []stableValue{}
	err = db.View(func(tx *boltTx) error {
		return tx.Bucket([]byte(stableBucket)).ForEach(func(key, _ []byte) error {
			value, err := store.Get(key)
			values = append(values, stableValue{string(key), value})
			return err
		})
	})
	return values, err
}

func readSnapshots(dir string) ([]snapshotState, error) {
	store, err := raft.NewFileSnapshotStore(dir, 1<<20, os.Stderr)
	if err != nil {
		return nil, err
	}
	metas, err := store.List()
	if err != nil {
		return nil, err
	}
	var answer []snapshotState
	for _, meta := range metas {
		s := snapshotState{
			ID: meta.ID, Index: meta.Index, Term: meta.Term, Size: meta.Size,
			Configuration: fromRaftConfiguration(meta.Configuration), ConfigurationIndex: meta.ConfigurationIndex,
		}
		if s.Data, err = readSnapshot(store, meta.ID); err != nil {
			s.Error = err.Error()
		}
		answer = append(answer, s)
	}
	return answer, nil
}

// readSnapshot gives state.bin after raft has checked its CRC.
func readSnapshot(store *raft.FileSnapshotStore, id string) ([]byte, error) {
	_, content, err := store.Open(id)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}
