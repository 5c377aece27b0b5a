// Command oracle does, with the real hashicorp/raft, raft-boltdb and bbolt, what op-conductor-init does by itself.
// Tests run both on the same input and compare.
//
// The answer goes to stdout as JSON, talk goes to stderr. Exit status: 0 fine; 1 looked and found something wrong;
// 2 couldn't look.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// errFound says that the verb did its work and that its answer reports something wrong.
var errFound = errors.New("found something wrong")

type verb struct {
	name  string
	about string
	run   func(ctx context.Context, args []string) error
}

func verbs() []verb {
	return []verb{
		{"write", "write stores and snapshots from a JSON plan on stdin", runWrite},
		{"read", "print the stores of a server's directory", runRead},
		{"check", "run bbolt's own check on files", runCheck},
		{"judge", "check, read, start raft on and write to copies of directories named on stdin", runJudge},
		{"history", "let clusters live, damage their disks, and boot what is left, as JSON jobs on stdin say", runHistory},
		{"puts", "make files from sequences of puts on stdin", runPuts},
		{"node", "run one raft node", runNode},
		{"hammer", "append to the stores of a directory without pause", runHammer},
		{"bench", "time the store's and the codec's calls", runBench},
		{"version", "print the versions of the modules inside", runVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string) int {
	if len(args) > 0 {
		for _, v := range verbs() {
			if v.name == args[0] {
				return exitStatus(v.run(ctx, args[1:]))
			}
		}
	}
	fmt.Fprintln(os.Stderr, "usage: oracle VERB [FLAGS]; oracle VERB -h shows the flags")
	for _, v := range verbs() {
		fmt.Fprintf(os.Stderr, "  %-8s %s\n", v.name, v.about)
	}
	return 2
}

func exitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 1
	default:
		fmt.Fprintln(os.Stderr, "oracle:", err)
		return 2
	}
}

// printJSON writes one value on one line.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
