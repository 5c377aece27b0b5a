package main

import (
	"encoding/hex"
	"path/filepath"
	"testing"
)

func TestStreamStartsAsSplitmix64DoesFromZero(t *testing.T) {
	// The first number from seed 0 is e220a8397b1dcdaf, in all published tests of the generator.
	if found := hex.EncodeToString(streamBytes(0, 9)); found[:16] != "afcd1d7b39a820e2" || len(found) != 18 {
		t.Errorf("expected 9 bytes from afcd1d7b39a820e2, found %s", found)
	}
}

func TestSequenceWithoutPutsIsANewStore(t *testing.T) {
	found, err := playSequence(sequence{File: filepath.Join(t.TempDir(), "a.db"), PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if found.SHA256 != "b24dbb4a8f6aab1889ef86979842d9a3c4f90ab7fadab0e9a93909a514e20569" {
		t.Errorf("expected the bytes of NewBoltStore, found %+v", found)
	}
}

func TestReopeningCommitsATransaction(t *testing.T) {
	dir := t.TempDir()
	tx := putsTx{Bucket: logBucket, Puts: []put{{Key: hexBytes("key"), Len: 5000, Seed: 7}}}
	straight, err := playSequence(sequence{File: filepath.Join(dir, "a.db"), Txs: []putsTx{tx}})
	if err != nil {
		t.Fatal(err)
	}
	tx.Reopen = true
	reopened, err := playSequence(sequence{File: filepath.Join(dir, "b.db"), Txs: []putsTx{tx}})
	if err != nil {
		t.Fatal(err)
	}
	if straight.SHA256 == reopened.SHA256 {
		t.Error("expected the reopened file to differ by its transaction, found equal bytes")
	}
}
