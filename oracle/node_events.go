package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

type fields map[string]any

// journal prints a node's events, one JSON object a line, unbuffered: the last one counts when the process is killed.
type journal struct {
	mu    sync.Mutex
	out   io.Writer
	node  string
	start time.Time
}

func newJournal(out io.Writer, node string) *journal {
	return &journal{out: out, node: node, start: time.Now()}
}

func (j *journal) emit(event string, more fields) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	line := fields{"time": now.Format(time.RFC3339Nano), "ms": now.Sub(j.start).Milliseconds(), "node": j.node, "event": event}
	for key, value := range more {
		line[key] = value
	}
	if err := printJSON(j.out, line); err != nil {
		fmt.Fprintln(os.Stderr, "oracle: event lost:", err)
	}
}

// logger gives raft a logger whose lines go to stderr and, at the same moment, to the node's sink.
func (n *node) logger(exitOnLeader bool) hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Debug, Output: os.Stderr})
	logger.RegisterSink(&logSink{n, exitOnLeader})
	return logger
}

// logSink makes events of raft's log lines. They are the truth about who campaigned: raft writes them in the goroutine
// that changes state, so none is missed, however short the state. "entering leader state" comes before the leader
// replicates anything (raft.go runLeader).
type logSink struct {
	node         *node
	exitOnLeader bool
}

func (s *logSink) Accept(_ string, _ hclog.Level, message string, args ...interface{}) {
	switch {
	case message == "entering follower state":
		s.state("follower")
	case message == "entering candidate state":
		s.state("candidate")
	case message == "entering leader state":
		s.state("leader")
		if s.exitOnLeader {
			os.Exit(9)
		}
	case message == "snapshot complete up to":
		s.node.journal.emit("snapshot", pairs(args))
	case strings.Contains(message, "pre-vote"):
		more := pairs(args)
		more["message"] = message
		s.node.journal.emit("pre_vote", more)
	}
}

func (s *logSink) state(name string) {
	s.node.journal.emit("state", fields{"source": "log", "state": name, "term": s.node.term()})
}

// pairs makes fields of hclog's alternating keys and values.
func pairs(args []interface{}) fields {
	made := fields{}
	for i := 0; i+1 < len(args); i += 2 {
		made[fmt.Sprint(args[i])] = plain(args[i+1])
	}
	return made
}

func plain(value any) any {
	if number, ok := value.(uint64); ok {
		return number
	}
	return fmt.Sprint(value)
}

// observe adds the two other sources: raft's observer, in the filter that raft calls synchronously and so never drops
// anything, and its notify channel.
func (n *node) observe(notify <-chan bool) {
	n.raft.RegisterObserver(raft.NewObserver(nil, false, n.onObservation))
	go func() {
		for leads := range notify {
			n.journal.emit("leadership", fields{"leads": leads, "term": n.term()})
		}
	}()
}

func (n *node) onObservation(o *raft.Observation) bool {
	switch data := o.Data.(type) {
	case raft.RaftState:
		n.journal.emit("state", fields{"source": "observer", "state": strings.ToLower(data.String()), "term": n.term()})
	case raft.LeaderObservation:
		n.journal.emit("leader_seen", fields{"leader_id": data.LeaderID, "leader_address": data.LeaderAddr, "term": n.term()})
	case raft.PeerObservation:
		n.journal.emit("peer", fields{"removed": data.Removed, "id": data.Peer.ID, "address": data.Peer.Address})
	}
	return false
}

// watchConfiguration prints the latest configuration at the start and each change until the context ends; raft
// announces only committed ones, so it looks every 20 ms.
func (n *node) watchConfiguration(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var known *configuration
	for {
		latest := fromRaftConfiguration(n.raft.GetConfiguration().Configuration())
		if !reflect.DeepEqual(known, latest) {
			known = latest
			n.journal.emit("configuration", fields{"servers": latest.Servers})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
