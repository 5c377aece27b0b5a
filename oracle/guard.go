package main

import (
	"fmt"
	"runtime/debug"
)

// guard turns a panic, a fault in mapped memory included, into an error: raft and bbolt panic on damaged files.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	return do()
}
