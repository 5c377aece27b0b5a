package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Twenty times as fast as op-conductor.
const (
	historyHeartbeat = 50 * time.Millisecond
	historyLease     = 25 * time.Millisecond
)

// Places of the parent's hash, the number and the hash in an envelope: op-service/eth/ssz.go.
const (
	payloadParent = 32
	payloadNumber = 32 + 404
	payloadHash   = 32 + 472
)

// historyCommand is the envelope of block number; its hash is not the block's.
func historyCommand(template []byte, number uint64) []byte {
	command := append([]byte{}, template...)
	hash := func(number uint64) []byte {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, number))
		return sum[:]
	}
	copy(command[payloadParent:], hash(number-1))
	copy(command[payloadHash:], hash(number))
	binary.LittleEndian.PutUint64(command[payloadNumber:], number)
	return command
}

// historyFSM remembers the numbers of all commands in their order.
type historyFSM struct {
	mu      sync.Mutex
	last    []byte
	numbers []uint64
}

// Apply implements raft.FSM.
func (f *historyFSM) Apply(log *raft.Log) interface{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = append([]byte{}, log.Data...)
	if len(log.Data) >= payloadNumber+8 {
		f.numbers = append(f.numbers, binary.LittleEndian.Uint64(log.Data[payloadNumber:]))
	}
	return nil
}

func (f *historyFSM) all() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]uint64{}, f.numbers...)
}

// Snapshot implements raft.FSM: the last envelope, as op-conductor has it, and all numbers behind it.
func (f *historyFSM) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	numbers, err := json.Marshal(f.numbers)
	state := binary.BigEndian.AppendUint32(append(append([]byte{}, f.last...), numbers...), uint32(len(numbers)))
	return fsmSnapshot(state), err
}

// Restore implements raft.FSM.
func (f *historyFSM) Restore(content io.ReadCloser) error {
	defer content.Close()
	state, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.numbers, f.last = nil, state
	if len(state) < 4 {
		return errors.New("a state of another kind")
	}
	end := len(state) - 4
	start := end - int(binary.BigEndian.Uint32(state[end:]))
	if start <= 0 {
		// op-conductor can't restore a state without an envelope either.
		return errors.New("no envelope in the state")
	}
	f.last = state[:start]
	return json.Unmarshal(state[start:end], &f.numbers)
}

// historyNode is one server in this process.
type historyNode struct {
	id        string
	raft      *raft.Raft
	stores    *stores
	fsm       *historyFSM
	transport *raft.InmemTransport
	notify    chan bool
}

func historyAddress(id string) raft.ServerAddress {
	return raft.ServerAddress(id + ".example:50050")
}

func historyConfig(id string, trailing uint64) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(id)
	config.HeartbeatTimeout, config.ElectionTimeout = historyHeartbeat, historyHeartbeat
	config.LeaderLeaseTimeout = historyLease
	config.CommitTimeout = 5 * time.Millisecond
	config.SnapshotInterval, config.SnapshotThreshold = time.Hour, 1<<40
	config.TrailingLogs = trailing
	config.ShutdownOnRemove = false
	config.Logger = hclog.NewNullLogger()
	return config
}

// startHistoryNode opens the directory and starts raft on it, connected to nobody. won is called when it leads.
func startHistoryNode(dir, id string, trailing uint64, won func(id string)) (*historyNode, error) {
	path := filepath.Join(dir, id)
	opened, err := openStores(path, storeOptions{noSync: true, timeout: time.Second})
	if err != nil {
		return nil, err
	}
	config := historyConfig(id, trailing)
	n := &historyNode{id: id, stores: opened, fsm: &historyFSM{}}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(path, 1, config.Logger)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	notify := make(chan bool, 64)
	config.NotifyCh, n.notify = notify, notify
	_, n.transport = raft.NewInmemTransportWithTimeout(historyAddress(id), historyHeartbeat)
	n.raft, err = raft.NewRaft(config, n.fsm, opened.log, opened.stable, snapshots, n.transport)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	go func() {
		for leads := range notify {
			if leads && won != nil {
				won(id)
			}
		}
	}()
	return n, nil
}

func (n *historyNode) stop() error {
	n.transport.DisconnectAll()
	err := errors.Join(n.raft.Shutdown().Error(), n.stores.Close())
	close(n.notify)
	return err
}

// soon waits for a future, but not for ever: a leader whose followers answer and can't store what it sends keeps its
// lease, and never commits.
func soon(future raft.Future) error {
	result := make(chan error, 1)
	go func() { result <- future.Error() }()
	select {
	case err := <-result:
		return err
	case <-time.After(20 * historyHeartbeat):
		return errors.New("not done in time")
	}
}

// connect lets the servers reach each other.
func connect(a, b *historyNode) {
	a.transport.Connect(b.transport.LocalAddr(), b.transport)
	b.transport.Connect(a.transport.LocalAddr(), a.transport)
}

func disconnect(a, b *historyNode) {
	a.transport.Disconnect(b.transport.LocalAddr())
	b.transport.Disconnect(a.transport.LocalAddr())
}
