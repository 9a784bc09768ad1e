package web

import "sync"

// Buffers of bodies are used again, by sizes, so that reading one does not leave
// garbage as large as itself.
const (
	smallBuffer = 4 << 10  // for single leads
	bufferStep  = 16 << 10 // between the sizes above it, so that little more is held than was asked for
	maxBuffer   = 1 << 20  // larger ones are left to the garbage collector
)

var buffers [maxBuffer/bufferStep + 1]sync.Pool

// buffer is memory for a body.
type buffer struct {
	bytes []byte
	size  int // which of buffers it belongs to, -1 for none
}

// newBuffer is a buffer with room for n bytes.
func newBuffer(n int) *buffer {
	if n > maxBuffer {
		return &buffer{make([]byte, n), -1}
	}
	size, room := 0, smallBuffer
	if n > smallBuffer {
		size = (n + bufferStep - 1) / bufferStep
		room = size * bufferStep
	}
	if old, ok := buffers[size].Get().(*buffer); ok {
		return old
	}
	return &buffer{make([]byte, room), size}
}

// release ends the use of a buffer: nobody may hold a part of it any more. A nil buffer
// is none.
func (b *buffer) release() {
	if b == nil {
		return
	}
	wipe(b.bytes)
	if b.size >= 0 {
		buffers[b.size].Put(b)
	}
}
