package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/ethereum-optimism/optimism/op-service/eth"
)

// Texts of op-node's errors: op-conductor looks for the first two (op-node/rollup/driver).
var (
	errAlreadyRunning = errors.New("sequencer already running")
	errNotRunning     = errors.New("sequencer not running")
	errHashMismatch   = errors.New("block hash does not match")
)

type sequencer struct {
	mu        sync.Mutex
	head      block
	active    bool
	still     bool
	blockTime time.Duration
	start     time.Time
	events    *history
}

func newSequencer(seeded *eth.ExecutionPayloadEnvelope, mode string, blockTime time.Duration) (*sequencer, error) {
	head, err := fromEnvelope(seeded)
	if err != nil {
		return nil, err
	}
	s := &sequencer{head: head, blockTime: blockTime, start: time.Now(), events: newHistory(os.Stdout)}
	switch mode {
	case "seeded":
	case "still":
		s.still = true
	case "parent":
		s.head = head.parent()
	case "child":
		s.head = head.child()
	default:
		return nil, fmt.Errorf("expected the head seeded, parent, child or still, found %q", mode)
	}
	return s, nil
}

func (s *sequencer) isActive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

func (s *sequencer) startSequencer(hash common.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch {
	case s.active:
		err = errAlreadyRunning
	case hash != s.head.ref.Hash:
		err = errHashMismatch
	default:
		s.active = true
	}
	s.events.record("admin_startSequencer", fields{"hash": hash, "head": s.head.ref, "result": result(err)})
	return err
}

func (s *sequencer) stopSequencer() (common.Hash, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if !s.active {
		err = errNotRunning
	}
	s.active = false
	s.events.record("admin_stopSequencer", fields{"head": s.head.ref, "result": result(err)})
	return s.head.ref.Hash, err
}

// postUnsafePayload takes the block as head if it is the head's child, as op-node does once it has inserted it.
func (s *sequencer) postUnsafePayload(envelope *eth.ExecutionPayloadEnvelope) error {
	posted, err := fromEnvelope(envelope)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && posted.ref.ParentHash == s.head.ref.Hash {
		s.head = posted
	}
	s.events.record("admin_postUnsafePayload", fields{"block": posted.ref, "head": s.head.ref, "result": result(err)})
	return err
}

// syncStatus shows a chain that goes on though the head stays: op-conductor takes an old time for a sick sequencer, and
// up to v1.9 also a number that doesn't grow.
func (s *sequencer) syncStatus() eth.SyncStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	l2 := eth.L2BlockRef{Hash: s.head.ref.Hash, Number: s.head.ref.Number, ParentHash: s.head.ref.ParentHash, Time: s.head.ref.Time}
	if !s.still {
		l2.Number += uint64(time.Since(s.start) / s.blockTime)
		l2.Time = uint64(time.Now().Unix())
	}
	l1 := eth.L1BlockRef{Hash: common.Hash{1}, Number: 1, Time: l2.Time}
	l2.L1Origin = l1.ID()
	return eth.SyncStatus{
		CurrentL1: l1, CurrentL1Finalized: l1, HeadL1: l1, SafeL1: l1, FinalizedL1: l1,
		UnsafeL2: l2, SafeL2: l2, FinalizedL2: l2, PendingSafeL2: l2, CrossUnsafeL2: l2, LocalSafeL2: l2,
	}
}

// latestBlock gives the head's header whatever block is asked. op-conductor v1.9 believes its hash, v1.19 computes it.
func (s *sequencer) latestBlock() (fields, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events.record("eth_getBlockByNumber", fields{"head": s.head.ref})
	encoded, err := s.head.header.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var answer fields
	if err := json.Unmarshal(encoded, &answer); err != nil {
		return nil, err
	}
	answer["hash"] = s.head.ref.Hash
	return answer, nil
}

func result(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}
