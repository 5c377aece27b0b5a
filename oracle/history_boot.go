package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	historyElection = 40 * historyHeartbeat
	historySettle   = 20 * historyHeartbeat
)

// bootHistory starts all servers on what is in their directories, and says what became of the cluster. Those whose
// directory is gone start with an empty one, as a container with a new volume does.
func bootHistory(job historyJob, template []byte) (*historyBooted, error) {
	booted := &historyBooted{Refused: map[string]string{}, Lost: []uint64{}, Held: []uint64{}, Apart: []string{}}
	onDisk := map[uint64]bool{}
	for _, id := range job.Boot.Servers {
		// What can't be read is found elsewhere.
		_ = guard(func() error { return commandsOnDisk(filepath.Join(job.Dir, id), onDisk) })
	}
	var first firstLeader
	running := map[string]*historyNode{}
	for _, id := range job.Boot.Servers {
		if err := os.MkdirAll(filepath.Join(job.Dir, id), 0o755); err != nil {
			return nil, err
		}
		var n *historyNode
		err := guard(func() (err error) {
			n, err = startHistoryNode(job.Dir, id, 1000, first.won)
			return err
		})
		if err != nil {
			booted.Refused[id] = err.Error()
			continue
		}
		for _, other := range running {
			connect(n, other)
		}
		running[id] = n
	}
	leader := settle(running, template)
	booted.First = first.get()
	booted.judge(job.Boot, running, leader)
	for _, number := range booted.Lost {
		if onDisk[number] {
			booted.Held = append(booted.Held, number)
		}
	}
	var stopped error
	for _, n := range running {
		stopped = errors.Join(stopped, n.stop())
	}
	return booted, stopped
}

// expects gives the servers that should have what the leader has: members, and others that don't know that they are none.
func (n *historyNode) expects(ids []string, running map[string]*historyNode) []string {
	var expected []string
	members := n.raft.GetConfiguration()
	if soon(members) != nil {
		return ids
	}
	for _, id := range ids {
		other, isRunning := running[id]
		isMember := false
		for _, member := range members.Configuration().Servers {
			isMember = isMember || string(member.ID) == id
		}
		if isMember || (isRunning && other.raft.LastIndex() > 0) {
			expected = append(expected, id)
		}
	}
	return expected
}

// commandsOnDisk adds the numbers of the commands in a server's log and snapshots.
func commandsOnDisk(dir string, numbers map[uint64]bool) error {
	if err := requireFile(filepath.Join(dir, logFile)); err != nil {
		return err
	}
	s, err := openStores(dir, readOnlyOptions())
	if err != nil {
		return err
	}
	defer s.Close()
	var all historyFSM
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 1, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	metas, err := snapshots.List()
	if err != nil {
		return err
	}
	for _, meta := range metas {
		if _, content, err := snapshots.Open(meta.ID); err == nil && all.Restore(content) == nil {
			for _, number := range all.numbers {
				numbers[number] = true
			}
		}
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return err
	}
	all.numbers = nil
	for index := first; index != 0 && index <= last; index++ {
		var entry raft.Log
		if s.log.GetLog(index, &entry) == nil && entry.Type == raft.LogCommand {
			all.Apply(&entry)
		}
	}
	for _, number := range all.numbers {
		numbers[number] = true
	}
	return nil
}

type firstLeader struct {
	mu sync.Mutex
	id string
}

func (f *firstLeader) won(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.id == "" {
		f.id = id
	}
}

func (f *firstLeader) get() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id
}

// settle waits until a leader has committed one more command, and gives it.
func settle(running map[string]*historyNode, template []byte) *historyNode {
	for wait := time.Now().Add(historyElection); time.Now().Before(wait); time.Sleep(2 * time.Millisecond) {
		for _, n := range running {
			if n.raft.State() != raft.Leader {
				continue
			}
			// Far above all numbers of the history.
			if soon(n.raft.Apply(historyCommand(template, 1<<40), 10*historyHeartbeat)) == nil {
				return n
			}
		}
	}
	return nil
}

// judge compares what the leader has with what was acknowledged, and what the others have with it.
func (b *historyBooted) judge(made *historyMade, running map[string]*historyNode, leader *historyNode) {
	if leader == nil {
		b.Stuck = true
		return
	}
	has := leader.fsm.all()
	for _, number := range made.Acked {
		if !slices.Contains(has, number) {
			b.Lost = append(b.Lost, number)
		}
	}
	waiting := leader.expects(made.Servers, running)
	for wait := time.Now().Add(historySettle); len(waiting) > 0 && time.Now().Before(wait); time.Sleep(5 * time.Millisecond) {
		var apart []string
		for _, id := range waiting {
			if n, ok := running[id]; ok && !slices.Equal(n.fsm.all(), leader.fsm.all()) {
				apart = append(apart, id)
			}
		}
		waiting = apart
	}
	b.Apart = append(b.Apart, waiting...)
}
