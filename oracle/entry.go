package main

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/hashicorp/raft"
)

// hexBytes are bytes as hex text; nil is null, which msgpack keeps apart from empty.
type hexBytes []byte

func (b hexBytes) MarshalJSON() ([]byte, error) {
	if b == nil {
		return []byte("null"), nil
	}
	return json.Marshal(hex.EncodeToString(b))
}

func (b *hexBytes) UnmarshalJSON(text []byte) error {
	var digits *string
	if err := json.Unmarshal(text, &digits); err != nil {
		return err
	}
	*b = nil
	if digits == nil {
		return nil
	}
	decoded, err := hex.DecodeString(*digits)
	*b = append(hexBytes{}, decoded...)
	return err
}

type server struct {
	Suffrage raft.ServerSuffrage `json:"suffrage"`
	ID       raft.ServerID       `json:"id"`
	Address  raft.ServerAddress  `json:"address"`
}

type configuration struct {
	Servers []server `json:"servers"`
}

func fromRaftConfiguration(c raft.Configuration) *configuration {
	servers := make([]server, 0, len(c.Servers))
	for _, s := range c.Servers {
		servers = append(servers, server{s.Suffrage, s.ID, s.Address})
	}
	return &configuration{servers}
}

func (c *configuration) toRaft() raft.Configuration {
	var converted raft.Configuration
	for _, s := range c.Servers {
		converted.Servers = append(converted.Servers, raft.Server{Suffrage: s.Suffrage, ID: s.ID, Address: s.Address})
	}
	return converted
}

// entry is one raft.Log, the same in write's plan and in read's answer.
type entry struct {
	Index         uint64         `json:"index"`
	Term          uint64         `json:"term"`
	Type          raft.LogType   `json:"type"`
	Data          hexBytes       `json:"data"`
	Extensions    hexBytes       `json:"extensions"`
	AppendedAt    time.Time      `json:"appended_at"`
	Configuration *configuration `json:"configuration,omitempty"`
}

func fromRaftLog(log *raft.Log) (entry, error) {
	e := entry{Index: log.Index, Term: log.Term, Type: log.Type, Data: log.Data, Extensions: log.Extensions, AppendedAt: log.AppendedAt}
	if log.Type != raft.LogConfiguration {
		return e, nil
	}
	// raft.DecodeConfiguration panics on what it can't decode.
	err := guard(func() error {
		e.Configuration = fromRaftConfiguration(raft.DecodeConfiguration(log.Data))
		return nil
	})
	return e, err
}

// toRaft takes Data if it is there, else the encoded Configuration.
func (e entry) toRaft() *raft.Log {
	log := &raft.Log{Index: e.Index, Term: e.Term, Type: e.Type, Data: e.Data, Extensions: e.Extensions, AppendedAt: e.AppendedAt}
	if e.Data == nil && e.Configuration != nil {
		log.Data = raft.EncodeConfiguration(e.Configuration.toRaft())
	}
	return log
}
