package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// judgement says whether bbolt, raft-boltdb and raft live with a server's directory, and what failed first if not.
type judgement struct {
	Dir   string `json:"dir"`
	OK    bool   `json:"ok"`
	Step  string `json:"step,omitempty"`
	Error string `json:"error,omitempty"`
}

// judgeMemory bounds the address space of a child: a damaged length must not take the machine's memory.
const judgeMemory = 8 << 30

// judgeSteps are what a node does with its directory, from the least to the most.
func judgeSteps() []struct {
	name string
	run  func(dir string) error
} {
	return []struct {
		name string
		run  func(dir string) error
	}{
		{"check", judgeCheck},
		{"read", judgeRead},
		{"start", judgeStart},
		{"write", judgeWrite},
		{"check again", judgeCheck},
	}
}

func runJudge(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("judge", flag.ExitOnError)
	limit := flags.Duration("time-limit", 10*time.Second, "give up on a directory after this `time`")
	child := flags.Bool("child", false, "judge in this very process (used by judge itself)")
	_ = flags.Parse(args)
	if *child {
		return judgeHere(os.Stdin, os.Stdout)
	}
	worker := &judgeWorker{limit: *limit}
	defer worker.stop()
	lines := bufio.NewScanner(os.Stdin)
	for ctx.Err() == nil && lines.Scan() {
		verdict, err := worker.judge(ctx, lines.Text())
		if err != nil {
			return err
		}
		if err := printJSON(os.Stdout, verdict); err != nil {
			return err
		}
	}
	return lines.Err()
}

// judgeWorker keeps a child for as long as it lives: a panic in one of bbolt's or raft's goroutines ends it, and a cycle
// may never end.
type judgeWorker struct {
	limit  time.Duration
	child  *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func (w *judgeWorker) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.child = exec.CommandContext(ctx, self, "judge", "--child")
	w.stderr.Reset()
	w.child.Stderr = &w.stderr
	if w.stdin, err = w.child.StdinPipe(); err != nil {
		return err
	}
	stdout, err := w.child.StdoutPipe()
	if err != nil {
		return err
	}
	w.stdout = bufio.NewReader(stdout)
	return w.child.Start()
}

func (w *judgeWorker) stop() {
	if w.child != nil {
		_ = w.stdin.Close()
		_ = w.child.Process.Kill()
		_ = w.child.Wait()
		w.child = nil
	}
}

// judge gives the child a copy of the directory, which is removed whatever becomes of the child.
func (w *judgeWorker) judge(ctx context.Context, dir string) (verdict judgement, err error) {
	scratch, err := os.MkdirTemp("", "judge-")
	if err != nil {
		return judgement{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	dirCopy := filepath.Join(scratch, filepath.Base(dir))
	if err := os.CopyFS(dirCopy, os.DirFS(dir)); err != nil {
		return judgement{}, err
	}
	verdict, err = w.judgeCopy(ctx, dirCopy)
	verdict.Dir = dir
	return verdict, err
}

// judgeCopy reads the child's lines: the names of the steps as they begin, then the verdict.
func (w *judgeWorker) judgeCopy(ctx context.Context, dir string) (judgement, error) {
	if w.child == nil {
		if err := w.start(ctx); err != nil {
			return judgement{}, err
		}
	}
	timer := time.AfterFunc(w.limit, func() { _ = w.child.Process.Kill() })
	_, err := fmt.Fprintln(w.stdin, dir)
	verdict := judgement{Dir: dir}
	for err == nil {
		var line []byte
		if line, err = w.stdout.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &verdict)
		}
		if err == nil && (verdict.OK || verdict.Error != "") {
			// A goroutine that goes on with what failed must not end the child in the middle of the next directory.
			if !timer.Stop() || !verdict.OK {
				w.stop()
			}
			return verdict, nil
		}
	}
	isLate := !timer.Stop()
	exit := w.child.Wait()
	w.child = nil
	if ctx.Err() != nil {
		return judgement{}, ctx.Err()
	}
	verdict.Error = fmt.Sprintf("not done after %v", w.limit)
	if !isLate {
		if exit == nil {
			exit = err
		}
		verdict.Error = panicText(w.stderr.String(), exit)
	}
	return verdict, nil
}

// judgeHere judges directories one after the other, and writes to them.
func judgeHere(in io.Reader, out io.Writer) error {
	debug.SetMaxStack(64 << 20)
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: judgeMemory, Max: judgeMemory}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := judgeOne(lines.Text(), out); err != nil {
			return err
		}
	}
	return lines.Err()
}

func judgeOne(dir string, out io.Writer) error {
	for _, step := range judgeSteps() {
		if err := printJSON(out, fields{"step": step.name}); err != nil {
			return err
		}
		if err := guard(func() error { return step.run(dir) }); err != nil {
			return printJSON(out, judgement{Dir: dir, Step: step.name, Error: err.Error()})
		}
	}
	return printJSON(out, judgement{Dir: dir, OK: true, Step: "done"})
}

func judgeCheck(dir string) error {
	for _, name := range []string{logFile, stableFile} {
		problems := []string{}
		if err := checkDB(filepath.Join(dir, name), &problems); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(problems) > 0 {
			return fmt.Errorf("%s: %s", name, problems[0])
		}
	}
	return nil
}

// judgeRead reads all that raft-boltdb gives, the stable keys by the calls that raft makes.
func judgeRead(dir string) error {
	s, err := openStores(dir, readOnlyOptions())
	if err != nil {
		return err
	}
	defer s.Close()
	err = judgeEntries(s.log, dir)
	for _, key := range []string{"CurrentTerm", "LastVoteTerm"} {
		_, stableErr := s.stable.GetUint64([]byte(key))
		if stableErr != nil && stableErr.Error() == "not found" {
			stableErr = nil
		}
		err = errors.Join(err, stableErr)
	}
	return err
}

// judgeEntries reads every entry. Those that the newest snapshot has may be missing: raft never asks for them.
func judgeEntries(log *boltStore, dir string) error {
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 1, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	metas, err := snapshots.List()
	if err != nil {
		return err
	}
	var snapshot uint64
	if len(metas) > 0 {
		snapshot = metas[0].Index
	}
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	for index := first; index != 0 && index <= last; index++ {
		var entry raft.Log
		err := log.GetLog(index, &entry)
		if err != nil && !(errors.Is(err, raft.ErrLogNotFound) && index <= snapshot) {
			return fmt.Errorf("index %d: %w", index, err)
		}
	}
	return nil
}

// judgeStart starts raft as op-conductor does, but for a transport that reaches nobody, and stops it.
func judgeStart(dir string) error {
	s, err := openStores(dir, storeOptions{noSync: true})
	if err != nil {
		return err
	}
	defer s.Close()
	f, err := parseNodeFlags([]string{"--id", filepath.Base(dir), "--dir", filepath.Dir(dir), "--heartbeat-timeout", "1h", "--election-timeout", "1h"})
	if err != nil {
		return err
	}
	logger := hclog.NewNullLogger()
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 1, logger)
	if err != nil {
		return err
	}
	_, transport := raft.NewInmemTransport("")
	n, err := raft.NewRaft(f.raftConfig(logger, make(chan bool, 16)), &fsm{journal: newJournal(io.Discard, "a")}, s.log, s.stable, snapshots, transport)
	if err != nil {
		return err
	}
	return n.Shutdown().Error()
}

// judgeWrite does what a follower does next: a new term, three entries, and the oldest ones deleted.
func judgeWrite(dir string) error {
	s, err := openStores(dir, storeOptions{noSync: true})
	if err != nil {
		return err
	}
	defer s.Close()
	term, err := s.stable.GetUint64(currentTerm)
	if err != nil && err.Error() != "not found" {
		return err
	}
	if err := s.stable.SetUint64(currentTerm, term+1); err != nil {
		return err
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return err
	}
	var logs []*raft.Log
	for index := last + 1; index <= last+3; index++ {
		logs = append(logs, &raft.Log{Index: index, Term: term + 1, Type: raft.LogCommand, Data: streamBytes(index, 3000)})
	}
	if err := s.log.StoreLogs(logs); err != nil {
		return err
	}
	return s.log.DeleteRange(first, first+(last-first)/2)
}
