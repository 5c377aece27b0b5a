package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

type fields map[string]any

// history prints the calls as JSON lines as they come, and keeps them for GET /events.
type history struct {
	mu    sync.Mutex
	out   *os.File
	start time.Time
	lines bytes.Buffer
}

func newHistory(out *os.File) *history {
	return &history{out: out, start: time.Now()}
}

func (h *history) record(event string, more fields) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	line := fields{"time": now.Format(time.RFC3339Nano), "ms": now.Sub(h.start).Milliseconds(), "event": event}
	for key, value := range more {
		line[key] = value
	}
	encoded, err := json.Marshal(line)
	if err == nil {
		encoded = append(encoded, '\n')
		h.lines.Write(encoded)
		_, err = h.out.Write(encoded)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stub: event lost:", err)
	}
}

func (h *history) serve(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	lines := bytes.Clone(h.lines.Bytes())
	h.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = w.Write(lines)
}
