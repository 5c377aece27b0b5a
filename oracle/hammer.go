package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"time"

	"github.com/hashicorp/raft"
)

var currentTerm = []byte("CurrentTerm")

type hammerFlags struct {
	dir              string
	size, batch      int
	interval, runFor time.Duration
	keep             uint64
}

func runHammer(ctx context.Context, args []string) (err error) {
	var f hammerFlags
	flags := flag.NewFlagSet("hammer", flag.ExitOnError)
	flags.StringVar(&f.dir, "dir", "", "the server's `directory` (required)")
	flags.IntVar(&f.size, "entries-size", 1024, "`bytes` a command")
	flags.IntVar(&f.batch, "batch", 1, "entries a transaction")
	flags.DurationVar(&f.interval, "interval", 10*time.Millisecond, "`time` between transactions; 0: none")
	flags.DurationVar(&f.runFor, "run-for", 10*time.Second, "stop after this `time`")
	flags.Uint64Var(&f.keep, "truncate-front", 0, "keep at most this `number` of entries, as raft does after a snapshot; 0: all")
	_ = flags.Parse(args)
	if f.dir == "" || f.batch < 1 {
		return errors.New("--dir and a --batch of at least 1 are required")
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	s, err := openStores(f.dir, storeOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	timed, cancel := context.WithTimeout(ctx, f.runFor)
	defer cancel()
	return hammer(timed, s, f)
}

// hammer goes on from the last index and prints where it is each second and at the end.
func hammer(ctx context.Context, s *stores, f hammerFlags) error {
	last, err := s.log.LastIndex()
	if err != nil {
		return err
	}
	term, err := s.stable.GetUint64(currentTerm)
	if err != nil && err.Error() != "not found" { // raft knows it by its words too
		return err
	}
	report := time.Now()
	for round := 0; ctx.Err() == nil; round++ {
		// Each term goes to the stable store before an entry has it, as in raft.
		if round%10 == 0 {
			term++
			if err := s.stable.SetUint64(currentTerm, term); err != nil {
				return err
			}
		}
		if last, err = strike(s, f, last, term); err != nil {
			return err
		}
		if time.Since(report) >= time.Second {
			report = time.Now()
			if err := printJSON(os.Stdout, fields{"last_index": last}); err != nil {
				return err
			}
		}
		pause(ctx, f.interval)
	}
	return printJSON(os.Stdout, fields{"last_index": last, "done": true})
}

// strike appends one batch, and gives the last index.
func strike(s *stores, f hammerFlags, last, term uint64) (uint64, error) {
	logs := make([]*raft.Log, f.batch)
	for i := range logs {
		last++
		logs[i] = &raft.Log{Index: last, Term: term, Type: raft.LogCommand, Data: streamBytes(last, f.size), AppendedAt: time.Now()}
	}
	if err := s.log.StoreLogs(logs); err != nil {
		return last, err
	}
	return last, truncateFront(s.log, last, f.keep)
}

func truncateFront(store *boltStore, last, keep uint64) error {
	if keep == 0 || last <= keep {
		return nil
	}
	first, err := store.FirstIndex()
	if err != nil || first > last-keep {
		return err
	}
	return store.DeleteRange(first, last-keep)
}

func pause(ctx context.Context, interval time.Duration) {
	if interval == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(interval):
	}
}
