package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"os"
)

// historyJob asks for one of two things: a cluster's history that ends with something done to its disks, or the boot of
// what is left.
type historyJob struct {
	// Dir holds the servers' directories.
	Dir  string `json:"dir"`
	Seed uint64 `json:"seed"`
	// Damage is what happens to the disks; empty: one is chosen.
	Damage string `json:"damage"`
	// Boot is nil for a history, and its answer for the boot.
	Boot *historyMade `json:"boot"`
}

// historyMade is what a history leaves.
type historyMade struct {
	// Servers that were ever started, and may be again, by id.
	Servers []string `json:"servers"`
	// Acked are the numbers of the commands that were acknowledged.
	Acked []uint64 `json:"acked"`
	// Damage is what was done to the disks, and Victims to whose.
	Damage  string   `json:"damage"`
	Victims []string `json:"victims"`
	// Steps of the history, for people.
	Steps []string `json:"steps"`
}

// historyBooted is what the real cluster made of it.
type historyBooted struct {
	// Refused are servers that did not start, and why.
	Refused map[string]string `json:"refused"`
	// First is the server that led first; empty when none led.
	First string `json:"first"`
	// Lost are acknowledged commands that the cluster doesn't have any more.
	Lost []uint64 `json:"lost"`
	// Held are those of the lost that some disk still had before the boot: the others left no trace.
	Held []uint64 `json:"held"`
	// Apart are servers that never got what the leader has, or have something else.
	Apart []string `json:"apart"`
	// Stuck says that no leader could commit.
	Stuck bool `json:"stuck"`
}

// runHistory answers jobs, one JSON object a line.
func runHistory(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("history", flag.ExitOnError)
	payload := flags.String("payload", "", "`file` with an execution payload envelope: the commands are made of it (required)")
	_ = flags.Parse(args)
	template, err := os.ReadFile(*payload)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for ctx.Err() == nil && lines.Scan() {
		var job historyJob
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			return err
		}
		var answer any
		if job.Boot == nil {
			answer, err = makeHistory(job, template)
		} else {
			answer, err = bootHistory(job, template)
		}
		if err != nil {
			return err
		}
		if err := printJSON(os.Stdout, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}
