package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

var historyDamages = []string{
	"nothing", "nothing", "older image", "older images of many", "wiped", "wiped many", "regenerated", "log of another",
	"stable store of another", "files exchanged", "directories exchanged", "snapshots of another time",
	"snapshots lost", "peers.json", "peers.json on some", "an entry edited", "the term edited",
}

func (h *history) path(id string) string { return filepath.Join(h.dir, id) }

// some gives count different servers.
func (h *history) some(count int) []string {
	ids := append([]string{}, h.made.Servers...)
	for i := range ids {
		j := i + h.index(len(ids)-i)
		ids[i], ids[j] = ids[j], ids[i]
	}
	if count > len(ids) {
		count = len(ids)
	}
	return ids[:count]
}

// damage does one thing to the disks.
func (h *history) damage(wanted string) error {
	if wanted == "" {
		wanted = historyDamages[h.index(len(historyDamages))]
	}
	h.made.Damage = wanted
	many := len(h.made.Servers)/2 + 1
	switch wanted {
	case "nothing":
		return nil
	case "older image":
		return h.each(1, h.olderImage)
	case "older images of many":
		return h.each(many, h.olderImage)
	case "wiped":
		return h.each(1, func(id string) error { return os.RemoveAll(h.path(id)) })
	case "wiped many":
		return h.each(many, func(id string) error { return os.RemoveAll(h.path(id)) })
	case "regenerated":
		return h.each(1, h.regenerate)
	case "log of another":
		return h.pair(func(a, b string) error { return copyFile(h.path(a), h.path(b), logFile) })
	case "stable store of another":
		return h.pair(func(a, b string) error { return copyFile(h.path(a), h.path(b), stableFile) })
	case "files exchanged":
		return h.each(1, func(id string) error {
			return exchange(filepath.Join(h.path(id), logFile), filepath.Join(h.path(id), stableFile))
		})
	case "directories exchanged":
		return h.pair(func(a, b string) error { return exchange(h.path(a), h.path(b)) })
	case "snapshots of another time":
		return h.each(1, h.olderSnapshots)
	case "snapshots lost":
		return h.each(1, func(id string) error { return os.RemoveAll(filepath.Join(h.path(id), "snapshots")) })
	case "peers.json":
		return h.each(len(h.made.Servers), func(id string) error { return h.recover(id, h.made.Servers) })
	case "peers.json on some":
		keep := h.some(1 + h.index(many))
		return h.each(1+h.index(many), func(id string) error { return h.recover(id, append([]string{id}, keep...)) })
	case "an entry edited":
		return h.each(1, h.editEntry)
	case "the term edited":
		return h.each(1, func(id string) error {
			return h.withStores(id, func(s *stores) error { return s.stable.SetUint64(currentTerm, 1) })
		})
	}
	return fmt.Errorf("unknown damage %q", wanted)
}

func (h *history) each(count int, do func(id string) error) error {
	for _, id := range h.some(count) {
		h.made.Victims = append(h.made.Victims, id)
		if err := do(id); err != nil {
			return fmt.Errorf("%s of %s: %w", h.made.Damage, id, err)
		}
	}
	return nil
}

func (h *history) pair(do func(a, b string) error) error {
	two := h.some(2)
	if len(two) < 2 {
		h.made.Damage = "nothing"
		return nil
	}
	h.made.Victims = two
	return do(two[0], two[1])
}

func (h *history) olderImage(id string) error {
	images := h.images[id]
	if len(images) == 0 {
		return nil
	}
	if err := os.RemoveAll(h.path(id)); err != nil {
		return err
	}
	return os.CopyFS(h.path(id), os.DirFS(images[h.index(len(images))]))
}

func (h *history) olderSnapshots(id string) error {
	images := h.images[id]
	if len(images) == 0 {
		return nil
	}
	to := filepath.Join(h.path(id), "snapshots")
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(filepath.Join(images[0], "snapshots")))
}

// regenerate writes the first state again, as a bootstrap does.
func (h *history) regenerate(id string) error {
	if err := os.RemoveAll(h.path(id)); err != nil {
		return err
	}
	if err := os.MkdirAll(h.path(id), 0o755); err != nil {
		return err
	}
	return h.withStores(id, func(s *stores) error {
		snapshots := raft.NewInmemSnapshotStore()
		_, transport := raft.NewInmemTransport(historyAddress(id))
		return raft.BootstrapCluster(historyConfig(id, 0), s.log, s.stable, snapshots, transport, h.members(h.made.Servers))
	})
}

func (h *history) members(ids []string) raft.Configuration {
	var members raft.Configuration
	seen := map[string]bool{}
	for _, id := range ids {
		if !seen[id] {
			members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(id), Address: historyAddress(id)})
		}
		seen[id] = true
	}
	return members
}

// recover is what raft makes of a peers.json.
func (h *history) recover(id string, ids []string) error {
	return h.withStores(id, func(s *stores) error {
		config := historyConfig(id, 0)
		snapshots, err := raft.NewFileSnapshotStoreWithLogger(h.path(id), 1, config.Logger)
		if err != nil {
			return err
		}
		_, transport := raft.NewInmemTransport(historyAddress(id))
		err = raft.RecoverCluster(config, &historyFSM{}, s.log, s.stable, snapshots, transport, h.members(ids))
		if err != nil {
			// A server without state can't be recovered.
			h.say("peers.json on %s: %v", id, err)
		}
		return nil
	})
}

func (h *history) editEntry(id string) error {
	return h.withStores(id, func(s *stores) error {
		first, err := s.log.FirstIndex()
		if err != nil || first == 0 {
			return err
		}
		last, err := s.log.LastIndex()
		if err != nil {
			return err
		}
		var entry raft.Log
		if err := s.log.GetLog(first+uint64(h.index(int(last-first+1))), &entry); err != nil {
			return err
		}
		if entry.Type == raft.LogCommand {
			entry.Data = historyCommand(h.template, 1000+h.next)
		} else {
			entry.Term++
		}
		return s.log.StoreLog(&entry)
	})
}

func (h *history) withStores(id string, do func(s *stores) error) (err error) {
	s, err := openStores(h.path(id), storeOptions{noSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}

func copyFile(from, to, name string) error {
	content, err := os.ReadFile(filepath.Join(from, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, name), content, storeFileMode)
}

func exchange(a, b string) error {
	return errors.Join(os.Rename(a, a+".x"), os.Rename(b, a), os.Rename(a+".x", b))
}
