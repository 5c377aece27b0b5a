package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheckSurvivesTheCrashThatADamagedFileCauses(t *testing.T) {
	good := filepath.Join(writeExample(t), "sequencer-1", logFile)
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	// The metas are whole and point past the end, so bbolt reads memory that isn't there.
	cut := filepath.Join(t.TempDir(), "cut.db")
	if err := os.WriteFile(cut, content[:8192], 0o600); err != nil {
		t.Fatal(err)
	}
	if result := checkInChild(t.Context(), cut, 10*time.Second); result.OK || !strings.Contains(result.Panic, "SIGBUS") {
		t.Errorf("expected SIGBUS as a result, found %+v", result)
	}
	if result := checkInChild(t.Context(), good, 10*time.Second); !result.OK {
		t.Errorf("expected no problem in the next file, found %+v", result)
	}
}

func TestCheckReportsALeakedPage(t *testing.T) {
	file := filepath.Join(writeExample(t), "sequencer-1", logFile)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Transaction 3 wrote its freelist to page 3; without its ids the pages that it lists belong to nobody.
	freelist := content[3*4096:]
	freelist[10], freelist[11] = 0, 0
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	result := checkFile(file)
	if len(result.Problems) == 0 || !strings.Contains(result.Problems[0], "unreachable unfreed") {
		t.Errorf("expected pages unreachable unfreed, found %+v", result)
	}
}

func TestCheckMakesNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "absent.db")
	if result := checkFile(file); result.Error == "" {
		t.Errorf("expected an error, found %+v", result)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("expected no file, found one")
	}
}
