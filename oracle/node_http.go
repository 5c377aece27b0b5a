package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/raft"
)

const futureTimeout = 5 * time.Second

type action func(body json.RawMessage) (any, error)

// serveHTTP offers the node's control; each answer is a JSON object, {"error": ...} with status 409 if raft refused.
func (n *node) serveHTTP(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for pattern, do := range map[string]action{
		"POST /apply":        n.apply,
		"POST /barrier":      n.barrier,
		"POST /snapshot":     n.snapshot,
		"POST /transfer":     n.transfer,
		"POST /add":          n.add,
		"POST /remove":       n.remove,
		"GET /configuration": n.configuration,
		"GET /stats":         n.stats,
		"GET /fsm":           func(json.RawMessage) (any, error) { return n.fsm.current(), nil },
	} {
		mux.HandleFunc(pattern, answer(do))
	}
	n.journal.emit("http", fields{"address": listener.Addr().String()})
	go func() {
		if err := http.Serve(listener, mux); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
		}
	}()
	return nil
}

func answer(do action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var value any
		if err == nil {
			value, err = do(body)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			value = fields{"error": err.Error()}
		}
		_ = printJSON(w, value)
	}
}

// parse reads a request's body; an empty one asks for what is usual.
func parse(body json.RawMessage, request any) error {
	if len(body) == 0 {
		return nil
	}
	return json.Unmarshal(body, request)
}

// apply takes {"data": hex}, or {"len", "seed", "count"} for count commands from following seeds.
func (n *node) apply(body json.RawMessage) (any, error) {
	request := struct {
		Data  hexBytes `json:"data"`
		Len   int      `json:"len"`
		Seed  uint64   `json:"seed"`
		Count int      `json:"count"`
	}{Count: 1}
	if err := parse(body, &request); err != nil {
		return nil, err
	}
	var last raft.ApplyFuture
	for i := range request.Count {
		data := []byte(request.Data)
		if data == nil {
			data = streamBytes(request.Seed+uint64(i), request.Len)
		}
		last = n.raft.Apply(data, futureTimeout)
	}
	if last == nil {
		return nil, errors.New("expected a count of at least 1")
	}
	if err := last.Error(); err != nil {
		return nil, err
	}
	return fields{"index": last.Index()}, nil
}

func (n *node) barrier(json.RawMessage) (any, error) {
	return fields{}, n.raft.Barrier(futureTimeout).Error()
}

func (n *node) snapshot(json.RawMessage) (any, error) {
	return fields{}, n.raft.Snapshot().Error()
}

type peerRequest struct {
	ID       raft.ServerID      `json:"id"`
	Address  raft.ServerAddress `json:"address"`
	Nonvoter bool               `json:"nonvoter"`
}

// transfer hands leadership to the named server, or to the one that raft picks.
func (n *node) transfer(body json.RawMessage) (any, error) {
	var to peerRequest
	if err := parse(body, &to); err != nil {
		return nil, err
	}
	if to.ID == "" {
		return fields{}, n.raft.LeadershipTransfer().Error()
	}
	return fields{}, n.raft.LeadershipTransferToServer(to.ID, to.Address).Error()
}

func (n *node) add(body json.RawMessage) (any, error) {
	var peer peerRequest
	if err := parse(body, &peer); err != nil {
		return nil, err
	}
	if peer.Nonvoter {
		return fields{}, n.raft.AddNonvoter(peer.ID, peer.Address, 0, futureTimeout).Error()
	}
	return fields{}, n.raft.AddVoter(peer.ID, peer.Address, 0, futureTimeout).Error()
}

func (n *node) remove(body json.RawMessage) (any, error) {
	var peer peerRequest
	if err := parse(body, &peer); err != nil {
		return nil, err
	}
	return fields{}, n.raft.RemoveServer(peer.ID, 0, futureTimeout).Error()
}

func (n *node) configuration(json.RawMessage) (any, error) {
	future := n.raft.GetConfiguration()
	return fromRaftConfiguration(future.Configuration()), future.Error()
}

func (n *node) stats(json.RawMessage) (any, error) { return n.raft.Stats(), nil }
