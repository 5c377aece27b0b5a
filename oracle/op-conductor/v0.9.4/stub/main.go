// Command stub plays op-node and the execution client of one sequencer on one port, as far as op-conductor asks, and
// records what op-conductor tells them. JSON-RPC is POST /, alone or in batches; GET /events gives the record.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/ethereum-optimism/optimism/op-service/eth"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8545", "`address` to listen on")
	file := flag.String("head-file", "", "`file` with the seeded block: an SSZ envelope as op-conductor's log holds it (required)")
	mode := flag.String("head", "seeded", "the `head`: seeded, its parent, its child, or still (the seeded block of a halted chain)")
	blockTime := flag.Duration("block-time", 2*time.Second, "`time` after which syncStatus counts a block more")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *addr, *file, *mode, *blockTime)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stub:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, addr, file, mode string, blockTime time.Duration) error {
	seeded, err := readEnvelope(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	s, err := newSequencer(seeded, mode, blockTime)
	if err != nil {
		return err
	}
	handler, err := s.handler()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.events.record("started", fields{"address": listener.Addr().String(), "head": s.head.ref})
	server := &http.Server{Handler: handler}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	s.events.record("stopped", nil)
	return nil
}

// readEnvelope tries Isthmus' form and then Ecotone's, as op-conductor's FSM does.
func readEnvelope(file string) (*eth.ExecutionPayloadEnvelope, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, version := range []eth.BlockVersion{eth.BlockV4, eth.BlockV3} {
		var envelope eth.ExecutionPayloadEnvelope
		if err := envelope.UnmarshalSSZ(version, uint32(len(content)), bytes.NewReader(content)); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		return &envelope, nil
	}
	return nil, failed
}

func (s *sequencer) handler() (http.Handler, error) {
	server := rpc.NewServer()
	for namespace, api := range map[string]any{"admin": adminAPI{s}, "optimism": optimismAPI{s}, "opp2p": p2pAPI{}, "eth": ethAPI{s}} {
		if err := server.RegisterName(namespace, api); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /", server)
	mux.HandleFunc("GET /events", s.events.serve)
	return mux, nil
}
