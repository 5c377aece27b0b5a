package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	historyElection = 40 * historyHeartbeat
	historySettle   = 20 * historyHeartbeat
)

// bootHistory starts all servers on what is in their directories, and says what became of the cluster. Those whose
// directory is gone start with an empty one, as a container with a new volume does.
func bootHistory(job historyJob, template []byte) (*historyBooted, error) {
	booted := &historyBooted{Refused: map[string]string{}, Lost: []uint64{}, Apart: []string{}}
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
	if members.Error() != nil {
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
			if n.raft.Apply(historyCommand(template, 1<<40), 10*historyHeartbeat).Error() == nil {
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
