package main

import (
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/ethereum-optimism/optimism/op-service/eth"
)

func readVector(t *testing.T, name string) *eth.ExecutionPayloadEnvelope {
	t.Helper()
	envelope, err := readEnvelope("../../../../tests/vectors/payload/" + name + ".ssz")
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

func startStub(t *testing.T, mode string) *sequencer {
	t.Helper()
	s, err := newSequencer(readVector(t, "v3"), mode, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHeaderOfEachVectorHasThePayloadsHash(t *testing.T) {
	for _, name := range []string{"v3", "v3-no-txs", "v4", "v4-3-txs"} {
		if _, err := fromEnvelope(readVector(t, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPayloadWithAnotherHashIsRefused(t *testing.T) {
	envelope := readVector(t, "v3")
	envelope.ExecutionPayload.GasUsed++
	if _, err := newSequencer(envelope, "seeded", time.Second); err == nil {
		t.Error("expected an error for a payload whose hash doesn't fit, found none")
	}
}

func TestSequencerStartsOnceOnItsHeadOnly(t *testing.T) {
	s := startStub(t, "seeded")
	for _, step := range []struct {
		hash     common.Hash
		expected error
	}{{common.Hash{1}, errHashMismatch}, {s.head.ref.Hash, nil}, {s.head.ref.Hash, errAlreadyRunning}} {
		if err := s.startSequencer(step.hash); !errors.Is(err, step.expected) {
			t.Errorf("%s: expected %v, found %v", step.hash, step.expected, err)
		}
	}
	if _, err := s.stopSequencer(); err != nil || s.isActive() {
		t.Errorf("expected it to stop, found %v", err)
	}
}

func TestPostedChildBecomesTheHead(t *testing.T) {
	s := startStub(t, "parent")
	seeded := readVector(t, "v3")
	if err := s.postUnsafePayload(seeded); err != nil {
		t.Fatal(err)
	}
	if s.head.ref.Hash != seeded.ExecutionPayload.BlockHash {
		t.Errorf("expected head %s, found %s", seeded.ExecutionPayload.BlockHash, s.head.ref.Hash)
	}
}

func TestOnlyAStillChainKeepsItsNumber(t *testing.T) {
	for mode, grows := range map[string]bool{"seeded": true, "still": false} {
		s := startStub(t, mode)
		s.start = s.start.Add(-time.Minute)
		if found := s.syncStatus().UnsafeL2.Number; (found > s.head.ref.Number) != grows {
			t.Errorf("%s: expected growing %v, found number %d over head %d", mode, grows, found, s.head.ref.Number)
		}
	}
}
