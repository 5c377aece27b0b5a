// Command superchain writes what the module lacks of op-core/superchain: superchain-configs.zip, which upstream's build
// makes and its code embeds, here without any well-known chain, and its sha256, which is compared at start. Usage:
// superchain DIRECTORY.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

const name = "superchain-configs.zip"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: superchain DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "superchain:", err)
		os.Exit(2)
	}
}

func write(directory string) error {
	archive, err := empty()
	if err != nil {
		return err
	}
	path := filepath.Join(directory, name)
	if err := os.WriteFile(path, archive, 0o644); err != nil {
		return err
	}
	sum := fmt.Sprintf("%x  %s\n", sha256.Sum256(archive), name)
	return os.WriteFile(path+".sha256", []byte(sum), 0o644)
}

// empty has the two files that op-core/superchain/chain.go opens: no zstd dictionary, and no chains.
func empty() ([]byte, error) {
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	for _, file := range []struct{ name, content string }{{"dictionary", ""}, {"chains.json", "{}"}} {
		entry, err := writer.Create(file.name)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write([]byte(file.content)); err != nil {
			return nil, err
		}
	}
	err := writer.Close()
	return archive.Bytes(), err
}
