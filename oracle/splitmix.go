package main

import "encoding/binary"

// splitmix is the splitmix64 generator: small, known, the same in Rust.
type splitmix uint64

func (s *splitmix) next() uint64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return z ^ (z >> 31)
}

// streamBytes gives n bytes: each number as 8 little-endian bytes, the last one cut.
func streamBytes(seed uint64, n int) []byte {
	s := splitmix(seed)
	stream := make([]byte, 0, n+8)
	for len(stream) < n {
		stream = binary.LittleEndian.AppendUint64(stream, s.next())
	}
	return stream[:n]
}
