package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// sequence is a file's whole history: what each transaction puts, and where the file is closed and opened again.
type sequence struct {
	File     string   `json:"file"`
	PageSize int      `json:"page_size"`
	Txs      []putsTx `json:"txs"`
}

type putsTx struct {
	Reopen bool   `json:"reopen"`
	Bucket string `json:"bucket"`
	Puts   []put  `json:"puts"`
}

// put's value is the stream of its seed: streamBytes.
type put struct {
	Key  hexBytes `json:"key"`
	Len  int      `json:"len"`
	Seed uint64   `json:"seed"`
}

type putsResult struct {
	File   string `json:"file"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func runPuts(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("puts", flag.ExitOnError)
	keep := flags.Bool("keep", true, "keep the files; false removes each after hashing")
	_ = flags.Parse(args)
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	in.DisallowUnknownFields()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for ctx.Err() == nil {
		var s sequence
		if err := in.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result, err := playSequence(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.File, err)
		}
		if err := printJSON(out, result); err != nil {
			return err
		}
		if !*keep {
			if err := os.Remove(s.File); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// playSequence makes the file anew.
func playSequence(s sequence) (putsResult, error) {
	if err := os.Remove(s.File); err != nil && !errors.Is(err, os.ErrNotExist) {
		return putsResult{}, err
	}
	if err := playTxs(s); err != nil {
		return putsResult{}, err
	}
	return hashFile(s.File)
}

func playTxs(s sequence) (err error) {
	db, err := openInitialised(s)
	if err != nil {
		return err
	}
	defer func() {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	for _, tx := range s.Txs {
		if tx.Reopen {
			if err := db.Close(); err != nil {
				return err
			}
			if db, err = openInitialised(s); err != nil {
				return err
			}
		}
		if err := db.Update(tx.play); err != nil {
			return err
		}
	}
	return nil
}

// openInitialised opens with the empty transaction that raft-boltdb's initialize commits at every start.
func openInitialised(s sequence) (*boltDB, error) {
	db, err := openDB(s.File, storeOptions{pageSize: s.PageSize, noSync: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *boltTx) error {
		for _, name := range []string{logBucket, stableBucket} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (t putsTx) play(tx *boltTx) error {
	bucket := tx.Bucket([]byte(t.Bucket))
	if bucket == nil {
		return fmt.Errorf("expected bucket %s or %s, found %q", logBucket, stableBucket, t.Bucket)
	}
	for _, p := range t.Puts {
		if err := bucket.Put(p.Key, streamBytes(p.Seed, p.Len)); err != nil {
			return err
		}
	}
	return nil
}

func hashFile(path string) (putsResult, error) {
	file, err := os.Open(path)
	if err != nil {
		return putsResult{}, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	return putsResult{path, size, hex.EncodeToString(sum.Sum(nil))}, err
}
