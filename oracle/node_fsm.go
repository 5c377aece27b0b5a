package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// fsm remembers how many commands came, in which order, and the last one.
type fsm struct {
	journal  *journal
	onlyLast bool // in snapshots
	mu       sync.Mutex
	state    fsmState
}

// fsmState is also what a snapshot holds. Sum is sha256(the sum before, the command), so that equal sums mean equal
// sequences.
type fsmState struct {
	Count uint64   `json:"count"`
	Sum   hexBytes `json:"sha256"`
	Last  hexBytes `json:"last"`
}

func (s *fsmState) add(command []byte) {
	sum := sha256.Sum256(append(append([]byte{}, s.Sum...), command...))
	s.Count, s.Sum, s.Last = s.Count+1, sum[:], append([]byte{}, command...)
}

func (f *fsm) current() fsmState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Apply implements raft.FSM.
func (f *fsm) Apply(log *raft.Log) interface{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.add(log.Data)
	f.journal.emit("applied", fields{
		"index": log.Index, "term": log.Term, "len": len(log.Data), "sha256": sha256Hex(log.Data),
		"count": f.state.Count, "rolling_sha256": f.state.Sum,
	})
	return nil
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	state := f.current()
	if f.onlyLast {
		return fsmSnapshot(state.Last), nil
	}
	encoded, err := json.Marshal(state)
	return fsmSnapshot(encoded), err
}

// Restore implements raft.FSM. A state.bin that isn't ours is one of op-conductor's, which holds its last command.
func (f *fsm) Restore(content io.ReadCloser) error {
	defer content.Close()
	encoded, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	var restored fsmState
	if err := json.Unmarshal(encoded, &restored); err != nil {
		restored = fsmState{}
		restored.add(encoded)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = restored
	f.journal.emit("restored", fields{"count": restored.Count, "rolling_sha256": restored.Sum, "len": len(encoded)})
	return nil
}

type fsmSnapshot []byte

// Persist implements raft.FSMSnapshot.
func (s fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		_ = sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s fsmSnapshot) Release() {}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
