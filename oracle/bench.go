package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// benchmark holds what all timed calls share: the same commands in memory and on disk.
type benchmark struct {
	path   string
	batch  int
	noSync bool
	logs   []*raft.Log
}

type benchResult struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Bytes int64  `json:"bytes"`
	NS    int64  `json:"ns"`
}

// timed is one part: it gives how many calls it made and the bytes that went through them.
type timed struct {
	name string
	run  func(b *benchmark) (count int, bytes int64, err error)
}

func benchParts() []timed {
	return []timed{
		{"storelogs", (*benchmark).storeLogs},
		{"getlog", (*benchmark).getLog},
		{"check", (*benchmark).check},
		{"encode", (*benchmark).encode},
		{"decode", (*benchmark).decode},
		{"configuration", (*benchmark).configuration},
	}
}

func runBench(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	entries := flags.Int("entries", 10000, "number of entries")
	size := flags.Int("size", 1024, "`bytes` a command")
	batch := flags.Int("batch", 64, "entries a transaction")
	noSync := flags.Bool("no-sync", false, "no fsync after a transaction")
	dir := flags.String("dir", "", "`directory` for the file (required); storelogs makes it anew, getlog and check need it")
	only := flags.String("only", "", "comma-separated `names` of the parts to time; default: all")
	_ = flags.Parse(args)
	if *dir == "" || *batch < 1 {
		return errors.New("--dir and a --batch of at least 1 are required")
	}
	b := &benchmark{path: filepath.Join(*dir, logFile), batch: *batch, noSync: *noSync, logs: benchLogs(*entries, *size)}
	parts, err := chooseParts(*only)
	if err != nil {
		return err
	}
	for _, part := range parts {
		result, err := measure(b, part)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		if err := printJSON(os.Stdout, result); err != nil {
			return err
		}
	}
	return nil
}

func benchLogs(entries, size int) []*raft.Log {
	logs := make([]*raft.Log, entries)
	for i := range logs {
		index := uint64(i) + 1
		logs[i] = &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: streamBytes(index, size)}
	}
	return logs
}

func chooseParts(only string) ([]timed, error) {
	if only == "" {
		return benchParts(), nil
	}
	var chosen []timed
	for name := range strings.SplitSeq(only, ",") {
		before := len(chosen)
		for _, part := range benchParts() {
			if part.name == name {
				chosen = append(chosen, part)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("no part is named %q", name)
		}
	}
	return chosen, nil
}

func measure(b *benchmark, part timed) (benchResult, error) {
	start := time.Now()
	count, bytes, err := part.run(b)
	return benchResult{part.name, count, bytes, time.Since(start).Nanoseconds()}, err
}

func (b *benchmark) storeLogs() (count int, bytes int64, err error) {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o755); err != nil {
		return 0, 0, err
	}
	if err := os.Remove(b.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, err
	}
	store, err := openStore(b.path, storeOptions{noSync: b.noSync})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for start := 0; start < len(b.logs); start += b.batch {
		if err := store.StoreLogs(b.logs[start:min(start+b.batch, len(b.logs))]); err != nil {
			return 0, 0, err
		}
	}
	return len(b.logs), b.dataBytes(), nil
}

func (b *benchmark) getLog() (count int, bytes int64, err error) {
	if err := requireFile(b.path); err != nil {
		return 0, 0, err
	}
	store, err := openStore(b.path, readOnlyOptions())
	if err != nil {
		return 0, 0, err
	}
	defer store.Close()
	for _, expected := range b.logs {
		var log raft.Log
		if err := store.GetLog(expected.Index, &log); err != nil {
			return 0, 0, err
		}
		bytes += int64(len(log.Data))
	}
	return len(b.logs), bytes, nil
}

func (b *benchmark) check() (int, int64, error) {
	var problems []string
	if err := checkDB(b.path, &problems); err != nil {
		return 0, 0, err
	}
	if len(problems) > 0 {
		return 0, 0, errors.New(problems[0])
	}
	info, err := os.Stat(b.path)
	if err != nil {
		return 0, 0, err
	}
	return 1, info.Size(), nil
}

func (b *benchmark) encode() (count int, bytes int64, err error) {
	for _, log := range b.logs {
		encoded, err := encodeMsgpack(log)
		if err != nil {
			return 0, 0, err
		}
		bytes += int64(len(encoded))
	}
	return len(b.logs), bytes, nil
}

// decode takes one encoded entry again and again, so that its encoding isn't timed and memory stays small.
func (b *benchmark) decode() (count int, bytes int64, err error) {
	if len(b.logs) == 0 {
		return 0, 0, nil
	}
	encoded, err := encodeMsgpack(b.logs[0])
	if err != nil {
		return 0, 0, err
	}
	for range b.logs {
		var log raft.Log
		if err := decodeMsgpack(encoded, &log); err != nil {
			return 0, 0, err
		}
		bytes += int64(len(encoded))
	}
	return len(b.logs), bytes, nil
}

// configuration encodes one of three Voters as often as there are entries.
func (b *benchmark) configuration() (count int, bytes int64, err error) {
	var three raft.Configuration
	for _, name := range []string{"sequencer-1", "sequencer-2", "sequencer-3"} {
		three.Servers = append(three.Servers, raft.Server{ID: raft.ServerID(name), Address: raft.ServerAddress(name + ":50050")})
	}
	for range b.logs {
		bytes += int64(len(raft.EncodeConfiguration(three)))
	}
	return len(b.logs), bytes, nil
}

func (b *benchmark) dataBytes() (bytes int64) {
	for _, log := range b.logs {
		bytes += int64(len(log.Data))
	}
	return bytes
}
