package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/hashicorp/raft"
)

// history is a cluster that lives.
type history struct {
	random   splitmix
	dir      string
	template []byte
	trailing uint64
	next     uint64
	running  map[string]*historyNode
	// Servers that reach nobody.
	away map[string]bool
	// Images of servers' directories, taken while they were stopped.
	images map[string][]string
	made   historyMade
}

func (h *history) chance(percent int) bool { return int(h.random.next()%100) < percent }
func (h *history) index(n int) int         { return int(h.random.next() % uint64(n)) }
func (h *history) say(format string, args ...any) {
	h.made.Steps = append(h.made.Steps, fmt.Sprintf(format, args...))
}

// makeHistory lets a cluster live in job.Dir, stops it, and does something to its disks.
func makeHistory(job historyJob, template []byte) (*historyMade, error) {
	h := &history{
		random: splitmix(job.Seed), dir: job.Dir, template: template, next: 1,
		running: map[string]*historyNode{}, away: map[string]bool{}, images: map[string][]string{},
	}
	h.made.Acked, h.made.Victims = []uint64{}, []string{}
	h.trailing = []uint64{0, 3, 10, 1000}[h.index(4)]
	if err := h.bootstrap(1 + h.index(5)); err != nil {
		return nil, err
	}
	for steps := 3 + h.index(8); steps > 0; steps-- {
		if err := h.step(); err != nil {
			return nil, err
		}
	}
	if err := h.stopAll(); err != nil {
		return nil, err
	}
	if err := h.damage(job.Damage); err != nil {
		return nil, err
	}
	for _, images := range h.images {
		for _, image := range images {
			if err := os.RemoveAll(image); err != nil {
				return nil, err
			}
		}
	}
	return &h.made, nil
}

func (h *history) bootstrap(count int) error {
	var members raft.Configuration
	for i := 1; i <= count; i++ {
		id := fmt.Sprintf("n%d", i)
		suffrage := raft.Voter
		if i > 1 && h.chance(10) {
			suffrage = raft.Nonvoter
		}
		members.Servers = append(members.Servers, raft.Server{Suffrage: suffrage, ID: raft.ServerID(id), Address: historyAddress(id)})
	}
	for _, member := range members.Servers {
		n, err := h.start(string(member.ID))
		if err != nil {
			return err
		}
		// raft refuses it on a nonvoter, which gets the members from the leader.
		if member.Suffrage != raft.Voter {
			continue
		}
		if err := n.raft.BootstrapCluster(members).Error(); err != nil {
			return err
		}
	}
	h.say("%d servers", count)
	h.apply(2 + h.index(10))
	return nil
}

func (h *history) start(id string) (*historyNode, error) {
	if err := os.MkdirAll(filepath.Join(h.dir, id), 0o755); err != nil {
		return nil, err
	}
	n, err := startHistoryNode(h.dir, id, h.trailing, nil)
	if err != nil {
		return nil, err
	}
	h.running[id] = n
	known := false
	for _, server := range h.made.Servers {
		known = known || server == id
	}
	if !known {
		h.made.Servers = append(h.made.Servers, id)
	}
	h.wire()
	return n, nil
}

// wire connects all that run and are not away.
func (h *history) wire() {
	for a, nodeA := range h.running {
		for b, nodeB := range h.running {
			if a == b {
				continue
			}
			if h.away[a] || h.away[b] {
				disconnect(nodeA, nodeB)
			} else {
				connect(nodeA, nodeB)
			}
		}
	}
}

// ids of those that run, in order, so that a seed makes the same choices.
func (h *history) ids() []string {
	ids := make([]string, 0, len(h.running))
	for id := range h.running {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

// leader waits for a while for one that others can reach.
func (h *history) leader() *historyNode {
	for wait := time.Now().Add(20 * historyHeartbeat); time.Now().Before(wait); time.Sleep(2 * time.Millisecond) {
		for _, id := range h.ids() {
			n := h.running[id]
			if !h.away[id] && n.raft.State() == raft.Leader && soon(n.raft.VerifyLeader()) == nil {
				return n
			}
		}
	}
	return nil
}

// apply sends commands to the leader and remembers those that were acknowledged.
func (h *history) apply(count int) {
	leader := h.leader()
	if leader == nil {
		h.say("no leader")
		return
	}
	h.applyTo(leader, count)
}

func (h *history) applyTo(n *historyNode, count int) {
	futures := map[uint64]raft.ApplyFuture{}
	first := h.next
	for ; count > 0; count-- {
		futures[h.next] = n.raft.Apply(historyCommand(h.template, h.next), time.Second)
		h.next++
	}
	acked := 0
	for number := first; number < h.next; number++ {
		if soon(futures[number]) == nil {
			h.made.Acked = append(h.made.Acked, number)
			acked++
		}
	}
	h.say("%s: %d of %d acknowledged", n.id, acked, h.next-first)
}

func (h *history) step() error {
	ids := h.ids()
	some := ids[h.index(len(ids))]
	switch h.index(12) {
	case 0, 1, 2:
		h.apply(1 + h.index(20))
	case 3:
		h.away[some] = !h.away[some]
		h.say("%s away: %v", some, h.away[some])
		h.wire()
		h.apply(1 + h.index(10))
	case 4:
		h.loseLeader()
	case 5:
		err := soon(h.running[some].raft.Snapshot())
		h.say("snapshot of %s: %v", some, err)
	case 6, 7:
		return h.restart(some)
	case 8:
		return h.add()
	case 9:
		h.change(some)
	case 10:
		if leader := h.leader(); leader != nil {
			h.say("transfer: %v", soon(leader.raft.LeadershipTransfer()))
		}
	case 11:
		return h.restartAll()
	}
	return nil
}

// loseLeader cuts the leader off while it appends what nobody else gets.
func (h *history) loseLeader() {
	leader := h.leader()
	if leader == nil || len(h.running) < 3 {
		return
	}
	h.away[leader.id] = true
	h.wire()
	h.applyTo(leader, 1+h.index(4))
	h.apply(1 + h.index(5))
	if h.chance(60) {
		delete(h.away, leader.id)
		h.wire()
		h.apply(1)
	}
}

// restart stops a server, takes an image of its directory, and starts it again.
func (h *history) restart(id string) error {
	if err := h.running[id].stop(); err != nil {
		return err
	}
	delete(h.running, id)
	image := filepath.Join(filepath.Dir(h.dir), fmt.Sprintf("%s.image-%s-%d", filepath.Base(h.dir), id, len(h.images[id])))
	if err := os.CopyFS(image, os.DirFS(filepath.Join(h.dir, id))); err != nil {
		return err
	}
	h.images[id] = append(h.images[id], image)
	if h.chance(50) {
		h.apply(1 + h.index(10))
	}
	_, err := h.start(id)
	h.say("%s restarted", id)
	return err
}

func (h *history) restartAll() error {
	for _, id := range h.ids() {
		if err := h.running[id].stop(); err != nil {
			return err
		}
	}
	for _, id := range h.ids() {
		image := filepath.Join(filepath.Dir(h.dir), fmt.Sprintf("%s.image-%s-%d", filepath.Base(h.dir), id, len(h.images[id])))
		if err := os.CopyFS(image, os.DirFS(filepath.Join(h.dir, id))); err != nil {
			return err
		}
		h.images[id] = append(h.images[id], image)
	}
	stopped := h.ids()
	h.running = map[string]*historyNode{}
	for _, id := range stopped {
		if _, err := h.start(id); err != nil {
			return err
		}
	}
	h.say("all restarted")
	h.apply(1 + h.index(5))
	return nil
}

func (h *history) add() error {
	leader := h.leader()
	if leader == nil || len(h.made.Servers) >= 6 {
		return nil
	}
	id := fmt.Sprintf("n%d", len(h.made.Servers)+1)
	if _, err := h.start(id); err != nil {
		return err
	}
	var future raft.IndexFuture
	if h.chance(70) {
		future = leader.raft.AddVoter(raft.ServerID(id), historyAddress(id), 0, time.Second)
	} else {
		future = leader.raft.AddNonvoter(raft.ServerID(id), historyAddress(id), 0, time.Second)
	}
	h.say("add %s: %v", id, soon(future))
	h.apply(1 + h.index(5))
	return nil
}

// change removes or demotes a server, which may be away.
func (h *history) change(id string) {
	if len(h.running) < 3 {
		return
	}
	if h.chance(50) {
		h.away[id] = true
		h.wire()
	}
	leader := h.leader()
	if leader == nil || leader.id == id {
		return
	}
	if h.chance(70) {
		h.say("remove %s: %v", id, soon(leader.raft.RemoveServer(raft.ServerID(id), 0, time.Second)))
	} else {
		h.say("demote %s: %v", id, soon(leader.raft.DemoteVoter(raft.ServerID(id), 0, time.Second)))
	}
	h.apply(1 + h.index(5))
}

// stopAll stops the servers one after the other, or all at once.
func (h *history) stopAll() error {
	var all error
	for _, id := range h.ids() {
		if h.chance(30) {
			time.Sleep(time.Duration(h.index(40)) * time.Millisecond)
		}
		all = errors.Join(all, h.running[id].stop())
	}
	return all
}
