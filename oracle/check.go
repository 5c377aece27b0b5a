package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"
)

// maxProblems bounds the answer for a file in which everything is wrong.
const maxProblems = 1000

type checkResult struct {
	File     string   `json:"file"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
	Error    string   `json:"error,omitempty"`
	Panic    string   `json:"panic,omitempty"`
}

func runCheck(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("check", flag.ExitOnError)
	limit := flags.Duration("time-limit", 10*time.Second, "give up on a file after this `time`")
	child := flags.Bool("child", false, "check one file in this very process (used by check itself)")
	_ = flags.Parse(args)
	if *child {
		return printJSON(os.Stdout, checkFile(flags.Arg(0)))
	}
	if flags.NArg() == 0 {
		return errors.New("expected one file or more")
	}
	var outcome error
	for _, file := range flags.Args() {
		result := checkInChild(ctx, file, *limit)
		if !result.OK {
			outcome = errFound
		}
		if err := printJSON(os.Stdout, result); err != nil {
			return err
		}
	}
	return outcome
}

// checkInChild spends a process on the file: bbolt checks in a goroutine of its own, whose panic nobody can recover,
// and on a cycle it may not end.
func checkInChild(ctx context.Context, file string, limit time.Duration) checkResult {
	result := checkResult{File: file, Problems: []string{}}
	self, err := os.Executable()
	if err != nil {
		result.Error = err.Error()
		return result
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	command := exec.CommandContext(timed, self, "check", "--child", "--", file)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	switch {
	case timed.Err() != nil:
		result.Error = fmt.Sprintf("not done after %v", limit)
	case err != nil:
		result.Panic = panicText(stderr.String(), err)
	default:
		if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
			result.Error = err.Error()
		}
	}
	return result
}

// panicText keeps the lines of Go's crash report that say why, without the stacks.
func panicText(stderr string, err error) string {
	var reasons []string
	for line := range strings.Lines(stderr) {
		for _, start := range []string{"panic: ", "fatal error: ", "unexpected fault address ", "[signal "} {
			if strings.HasPrefix(line, start) {
				reasons = append(reasons, strings.TrimSpace(line))
			}
		}
	}
	if len(reasons) == 0 {
		return err.Error()
	}
	return strings.Join(reasons, "; ")
}

func checkFile(file string) checkResult {
	// Go's own bound, 1 GB, would let a cyclic tree take that much first.
	debug.SetMaxStack(64 << 20)
	result := checkResult{File: file, Problems: []string{}}
	if err := checkDB(file, &result.Problems); err != nil {
		result.Error = err.Error()
	}
	result.OK = result.Error == "" && len(result.Problems) == 0
	return result
}

func checkDB(file string, problems *[]string) error {
	if err := requireFile(file); err != nil {
		return err
	}
	db, err := openDB(file, readOnlyOptions())
	if err != nil {
		return err
	}
	err = db.View(func(tx *boltTx) error {
		for problem := range tx.Check() {
			if len(*problems) == maxProblems {
				return fmt.Errorf("more than %d problems", maxProblems)
			}
			*problems = append(*problems, problem.Error())
		}
		return nil
	})
	if err != nil {
		// Left open: after maxProblems the check still runs.
		return err
	}
	return db.Close()
}
