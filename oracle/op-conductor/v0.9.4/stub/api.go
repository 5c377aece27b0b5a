package main

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/ethereum-optimism/optimism/op-service/apis"
	"github.com/ethereum-optimism/optimism/op-service/eth"
)

// The methods that op-conductor calls, one type a namespace; go-ethereum's server makes their names of these.
type (
	adminAPI    struct{ s *sequencer }
	optimismAPI struct{ s *sequencer }
	ethAPI      struct{ s *sequencer }
	p2pAPI      struct{}
)

func (a adminAPI) ConductorEnabled() bool                      { return true }
func (a adminAPI) SequencerActive() bool                       { return a.s.isActive() }
func (a adminAPI) StartSequencer(hash common.Hash) error       { return a.s.startSequencer(hash) }
func (a adminAPI) StopSequencer() (common.Hash, error)         { return a.s.stopSequencer() }
func (o optimismAPI) SyncStatus() eth.SyncStatus               { return o.s.syncStatus() }
func (p p2pAPI) PeerStats() apis.PeerStats                     { return apis.PeerStats{Connected: 5} }
func (e ethAPI) GetBlockByNumber(string, bool) (fields, error) { return e.s.latestBlock() }

func (a adminAPI) PostUnsafePayload(envelope *eth.ExecutionPayloadEnvelope) error {
	return a.s.postUnsafePayload(envelope)
}
