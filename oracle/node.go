package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

type nodeFlags struct {
	id, dir, bind, advertise, http  string
	heartbeat, election, lease      time.Duration
	snapshotInterval, runFor        time.Duration
	snapshotThreshold, trailingLogs uint64
	exitOnLeader                    bool
	snapshotLikeOpConductor         bool
}

// parseNodeFlags has op-conductor v1.19's settings as defaults: flags/flags.go and consensus/raft.go NewRaftConsensus.
func parseNodeFlags(args []string) (nodeFlags, error) {
	var f nodeFlags
	flags := flag.NewFlagSet("node", flag.ExitOnError)
	flags.StringVar(&f.id, "id", "", "server `id` (required)")
	flags.StringVar(&f.dir, "dir", "", "storage `directory`: the state is in its subdirectory named as the id (required)")
	flags.StringVar(&f.bind, "bind", "0.0.0.0:50050", "`address` to listen on for raft")
	flags.StringVar(&f.advertise, "advertise", "", "`host:port` that the others dial, resolved at start; default: the address bound")
	flags.StringVar(&f.http, "http", "", "`address` of the HTTP control; default: none")
	flags.DurationVar(&f.heartbeat, "heartbeat-timeout", time.Second, "raft's HeartbeatTimeout")
	flags.DurationVar(&f.election, "election-timeout", time.Second, "raft's ElectionTimeout")
	flags.DurationVar(&f.lease, "lease-timeout", 500*time.Millisecond, "raft's LeaderLeaseTimeout")
	flags.DurationVar(&f.snapshotInterval, "snapshot-interval", 120*time.Second, "raft's SnapshotInterval")
	flags.Uint64Var(&f.snapshotThreshold, "snapshot-threshold", 8192, "raft's SnapshotThreshold")
	flags.Uint64Var(&f.trailingLogs, "trailing-logs", 10240, "raft's TrailingLogs")
	flags.DurationVar(&f.runFor, "run-for", 0, "stop after this `time`; 0: never")
	flags.BoolVar(&f.exitOnLeader, "exit-on-leader", false, "exit with status 9 at the moment of becoming leader")
	flags.BoolVar(&f.snapshotLikeOpConductor, "snapshot-like-op-conductor", false, "a snapshot holds the last command alone, as op-conductor's holds its head")
	_ = flags.Parse(args)
	if f.id == "" || f.dir == "" {
		return f, errors.New("--id and --dir are required")
	}
	return f, nil
}

func runNode(ctx context.Context, args []string) error {
	f, err := parseNodeFlags(args)
	if err != nil {
		return err
	}
	if f.runFor > 0 {
		timed, cancel := context.WithTimeout(ctx, f.runFor)
		defer cancel()
		ctx = timed
	}
	n, err := startNode(f, newJournal(os.Stdout, f.id))
	if err != nil {
		return err
	}
	if f.http != "" {
		if err := n.serveHTTP(f.http); err != nil {
			return errors.Join(err, n.stop())
		}
	}
	n.watchConfiguration(ctx)
	return n.stop()
}

type node struct {
	raft      *raft.Raft
	transport *raft.NetworkTransport
	stores    *stores
	fsm       *fsm
	journal   *journal
}

func startNode(f nodeFlags, j *journal) (*node, error) {
	dir := filepath.Join(f.dir, f.id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := openStores(dir, storeOptions{})
	if err != nil {
		return nil, err
	}
	n := &node{stores: s, fsm: &fsm{journal: j, onlyLast: f.snapshotLikeOpConductor}, journal: j}
	if err := n.startRaft(f, dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	j.emit("started", fields{"address": n.transport.LocalAddr(), "last_index": n.raft.LastIndex(), "term": n.term()})
	return n, nil
}

func (n *node) startRaft(f nodeFlags, dir string) error {
	notify := make(chan bool)
	config := f.raftConfig(n.logger(f.exitOnLeader), notify)
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 1, config.Logger)
	if err != nil {
		return err
	}
	advertised, err := resolve(f.advertise)
	if err != nil {
		return err
	}
	n.transport, err = raft.NewTCPTransportWithLogger(f.bind, advertised, 10, 5*time.Second, config.Logger)
	if err != nil {
		return err
	}
	n.raft, err = raft.NewRaft(config, n.fsm, n.stores.log, n.stores.stable, snapshots, n.transport)
	if err != nil {
		return errors.Join(err, n.transport.Close())
	}
	n.observe(notify)
	return nil
}

func (f nodeFlags) raftConfig(logger hclog.Logger, notify chan bool) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(f.id)
	config.HeartbeatTimeout = f.heartbeat
	config.ElectionTimeout = f.election
	config.LeaderLeaseTimeout = f.lease
	config.SnapshotInterval = f.snapshotInterval
	config.SnapshotThreshold = f.snapshotThreshold
	config.TrailingLogs = f.trailingLogs
	config.ShutdownOnRemove = false
	config.Logger = logger
	config.NotifyCh = notify
	return config
}

// resolve does what op-conductor does with --consensus.advertised; nil means the address bound.
func resolve(advertise string) (net.Addr, error) {
	if advertise == "" {
		return nil, nil
	}
	address, err := net.ResolveTCPAddr("tcp", advertise)
	if err != nil {
		return nil, fmt.Errorf("resolve the advertised address %q: %w", advertise, err)
	}
	return address, nil
}

// term is read from the store, where raft writes it before it acts on it, because raft 1.6 has no call for it and
// the log's sink runs inside raft's own calls.
func (n *node) term() uint64 {
	term, err := n.stores.stable.GetUint64(currentTerm)
	if err != nil {
		return 0
	}
	return term
}

func (n *node) stop() error {
	err := errors.Join(n.raft.Shutdown().Error(), n.transport.Close(), n.stores.Close())
	n.journal.emit("stopped", nil)
	return err
}
