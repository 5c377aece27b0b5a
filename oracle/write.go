package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/raft"
)

// plan says which files to write; calls are made in its order.
type plan struct {
	PageSize int        `json:"page_size"`
	NoSync   bool       `json:"no_sync"`
	Nodes    []nodePlan `json:"nodes"`
}

type nodePlan struct {
	Dir       string         `json:"dir"`
	Log       []entry        `json:"log"`
	Stable    []stablePlan   `json:"stable"`
	Snapshots []snapshotPlan `json:"snapshots"`
}

type stablePlan struct {
	Key    string   `json:"key"`
	Uint64 *uint64  `json:"uint64"`
	Bytes  hexBytes `json:"bytes"`
}

type snapshotPlan struct {
	Index              uint64        `json:"index"`
	Term               uint64        `json:"term"`
	Configuration      configuration `json:"configuration"`
	ConfigurationIndex uint64        `json:"configuration_index"`
	Data               hexBytes      `json:"data"`
}

func runWrite(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("write", flag.ExitOnError)
	_ = flags.Parse(args)
	p, err := readPlan(os.Stdin)
	if err != nil {
		return err
	}
	return writePlan(p)
}

func readPlan(r io.Reader) (plan, error) {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	var p plan
	if err := decoder.Decode(&p); err != nil {
		return plan{}, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// writePlan makes what is missing and goes on with the files that exist, as a starting node would.
func writePlan(p plan) error {
	for _, node := range p.Nodes {
		if err := writeNode(node, storeOptions{pageSize: p.PageSize, noSync: p.NoSync}); err != nil {
			return fmt.Errorf("%s: %w", node.Dir, err)
		}
	}
	return nil
}

func writeNode(node nodePlan, o storeOptions) (err error) {
	if err := os.MkdirAll(node.Dir, 0o755); err != nil {
		return err
	}
	s, err := openStores(node.Dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := writeLog(s.log, node.Log); err != nil {
		return err
	}
	if err := writeStable(s.stable, node.Stable); err != nil {
		return err
	}
	return writeSnapshots(node.Dir, node.Snapshots)
}

// writeLog stores all entries in one transaction; without entries there is none.
func writeLog(store *boltStore, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	logs := make([]*raft.Log, 0, len(entries))
	for _, e := range entries {
		logs = append(logs, e.toRaft())
	}
	return store.StoreLogs(logs)
}

func writeStable(store *boltStore, calls []stablePlan) error {
	for _, call := range calls {
		var err error
		if call.Uint64 != nil {
			err = store.SetUint64([]byte(call.Key), *call.Uint64)
		} else {
			err = store.Set([]byte(call.Key), call.Bytes)
		}
		if err != nil {
			return fmt.Errorf("stable key %q: %w", call.Key, err)
		}
	}
	return nil
}

func writeSnapshots(dir string, snapshots []snapshotPlan) error {
	if len(snapshots) == 0 {
		return nil
	}
	store, err := raft.NewFileSnapshotStore(dir, len(snapshots), os.Stderr)
	if err != nil {
		return err
	}
	// The transport gives the text of addresses only; nothing is sent.
	_, transport := raft.NewInmemTransport("")
	for _, s := range snapshots {
		sink, err := store.Create(raft.SnapshotVersionMax, s.Index, s.Term, s.Configuration.toRaft(), s.ConfigurationIndex, transport)
		if err != nil {
			return err
		}
		if _, err := sink.Write(s.Data); err != nil {
			return errors.Join(err, sink.Cancel())
		}
		if err := sink.Close(); err != nil {
			return err
		}
	}
	return nil
}
