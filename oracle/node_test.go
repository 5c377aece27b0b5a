package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// startAlone starts a one-server cluster on a state that write made.
func startAlone(t *testing.T, dir string, events *bytes.Buffer) *node {
	t.Helper()
	f, err := parseNodeFlags([]string{"--id", "a", "--dir", dir, "--bind", "127.0.0.1:0",
		"--heartbeat-timeout", "50ms", "--election-timeout", "50ms", "--lease-timeout", "50ms"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := startNode(f, newJournal(events, "a"))
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); n.raft.State() != raft.Leader; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("expected a leader within 10 s, found %v", n.raft.State())
		}
	}
	return n
}

func TestNodeLeadsAppliesSnapshotsAndRestoresIt(t *testing.T) {
	dir := t.TempDir()
	seed := nodePlan{
		Dir:    filepath.Join(dir, "a"),
		Log:    []entry{{Index: 1, Term: 1, Type: raft.LogConfiguration, Configuration: &configuration{[]server{{ID: "a", Address: "127.0.0.1:1"}}}}},
		Stable: []stablePlan{{Key: "CurrentTerm", Uint64: &firstTerm}},
	}
	if err := writeNode(seed, storeOptions{}); err != nil {
		t.Fatal(err)
	}
	var events bytes.Buffer
	n := startAlone(t, dir, &events)
	if _, err := n.apply(json.RawMessage(`{"len": 100, "seed": 1, "count": 3}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.snapshot(nil); err != nil {
		t.Fatal(err)
	}
	before := n.fsm.current()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if before.Count != 3 {
		t.Errorf("expected 3 commands, found %d", before.Count)
	}
	for _, expected := range []string{`"source":"log","state":"candidate"`, `"source":"log","state":"leader"`, `"event":"applied"`, `"event":"snapshot"`} {
		if !bytes.Contains(events.Bytes(), []byte(expected)) {
			t.Errorf("expected %s among the events, found\n%s", expected, events.String())
		}
	}

	again := startAlone(t, dir, &bytes.Buffer{})
	after := again.fsm.current()
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(after.Sum, before.Sum) || after.Count != before.Count {
		t.Errorf("expected the state of the snapshot, found %+v", after)
	}
}

func TestForeignSnapshotBecomesTheLastCommand(t *testing.T) {
	f := &fsm{journal: newJournal(&bytes.Buffer{}, "a")}
	if err := f.Restore(readCloser{bytes.NewReader([]byte{0, 1, 2})}); err != nil {
		t.Fatal(err)
	}
	if found := f.current(); found.Count != 1 || !bytes.Equal(found.Last, []byte{0, 1, 2}) {
		t.Errorf("expected one command 000102, found %+v", found)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
