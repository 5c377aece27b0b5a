package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// firstTerm can be pointed at; a literal can't.
var firstTerm = uint64(1)

func TestMain(m *testing.M) {
	// check runs its own executable once a file, which is this test binary here.
	if len(os.Args) > 2 && os.Args[1] == "check" && os.Args[2] == "--child" {
		main()
	}
	os.Exit(m.Run())
}

// writeExample writes the plan of testdata/named-n3.json into a new directory and gives that directory.
func writeExample(t *testing.T) string {
	t.Helper()
	file, err := os.Open("testdata/named-n3.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p, err := readPlan(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range p.Nodes {
		p.Nodes[i].Dir = filepath.Join(dir, p.Nodes[i].Dir)
	}
	if err := writePlan(p); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEveryVersionWritesTheSameBytesForTheNamedPlan(t *testing.T) {
	dir := writeExample(t)
	list, err := os.ReadFile("testdata/named-n3.sha256")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		expected, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		found, err := hashFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if found.SHA256 != expected {
			t.Errorf("%s: expected %s, found %s", name, expected, found.SHA256)
		}
	}
}

func TestNewStoreAndFirstTermHaveTheirKnownHashes(t *testing.T) {
	path := filepath.Join(t.TempDir(), stableFile)
	for _, step := range []struct {
		calls    []stablePlan
		expected string
	}{
		{nil, "b24dbb4a8f6aab1889ef86979842d9a3c4f90ab7fadab0e9a93909a514e20569"},
		{[]stablePlan{{Key: "CurrentTerm", Uint64: &firstTerm}}, "8f5d78b68fa4b10bbb09a9af329dbcdb4f0975d70a89d2a775d5123a5c295b94"},
	} {
		// A new file each time: opening an existing one commits a transaction.
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		store, err := openStore(path, storeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := writeStable(store, step.calls); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		found, err := hashFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found.SHA256 != step.expected {
			t.Errorf("after %d calls: expected %s, found %s", len(step.calls), step.expected, found.SHA256)
		}
	}
}

func TestReadGivesBackWhatWriteWasTold(t *testing.T) {
	s, err := readState(filepath.Join(writeExample(t), "sequencer-2"), 10)
	if err != nil {
		t.Fatal(err)
	}
	if s.Log.First != 1 || s.Log.Last != 2 || s.Log.Count != 2 || s.Log.Error != "" {
		t.Fatalf("expected entries 1 to 2, found %+v", s.Log)
	}
	last := s.Log.Entries[1]
	if last.Term != 2 || last.Configuration == nil || last.Configuration.Servers[1].Suffrage != 1 {
		t.Errorf("expected a configuration of term 2 with a Nonvoter sequencer-2, found %+v", last)
	}
	if len(s.Stable) != 3 || s.Stable[0].Key != "CurrentTerm" || s.Stable[0].Value[7] != 4 {
		t.Errorf("expected three stable values, CurrentTerm 4 first, found %+v", s.Stable)
	}
}

func TestSnapshotsKeepTheirContent(t *testing.T) {
	dir := t.TempDir()
	three := configuration{[]server{{ID: "a", Address: "a:1"}}}
	wanted := snapshotPlan{Index: 77, Term: 3, Configuration: three, ConfigurationIndex: 2, Data: hexBytes("123456789")}
	if err := writeSnapshots(dir, []snapshotPlan{wanted}); err != nil {
		t.Fatal(err)
	}
	found, err := readSnapshots(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Error != "" || string(found[0].Data) != "123456789" || found[0].Index != 77 {
		t.Errorf("expected the snapshot of index 77, found %+v", found)
	}
}
