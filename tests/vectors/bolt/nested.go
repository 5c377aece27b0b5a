// Makes nested.db: buckets in buckets, inline ones among them, written by bbolt 1.4.3 on pages of 1024 bytes.
//
//	mkdir recipe && cp nested.go recipe && cd recipe
//	go mod init nested && go get go.etcd.io/bbolt@v1.4.3 && go run nested.go ../nested.db
package main

import (
	"fmt"
	"log"
	"os"

	"go.etcd.io/bbolt"
)

func main() {
	scratch := os.Args[1] + ".scratch"
	db, err := bbolt.Open(scratch, 0o600, &bbolt.Options{PageSize: 1024})
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		outer, err := tx.CreateBucket([]byte("outer"))
		if err != nil {
			return err
		}
		inner, err := outer.CreateBucket([]byte("inner"))
		if err != nil {
			return err
		}
		deepest, err := inner.CreateBucket([]byte("deepest"))
		if err != nil {
			return err
		}
		if err := inner.SetSequence(7); err != nil {
			return err
		}
		if err := outer.Put([]byte("plain"), []byte("value")); err != nil {
			return err
		}
		if err := deepest.Put([]byte("key"), []byte("inline")); err != nil {
			return err
		}
		for i := range 60 {
			if err := inner.Put(fmt.Appendf(nil, "key-%02d", i), make([]byte, 50+i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// A copy ends at the high-water mark: it is shorter than the file.
	err = db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(os.Args[1], 0o644) })
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Remove(scratch); err != nil {
		log.Fatal(err)
	}
}
