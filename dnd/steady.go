package dnd

import "os"

// steadyWriter writes a file from front to back and has it on the disk never far
// behind. Left to itself the system collects a whole snapshot and writes it when it
// is synced, and everybody else who waits for the same disk in that second waits
// with it: each push of a server beside the import.
type steadyWriter struct {
	file *os.File
	at   int64 // written
	sent int64 // on the way to the disk
	done int64 // on the disk
}

// steadyStep is how much is handed to the disk at a time, a few milliseconds of it.
const steadyStep = 4 << 20

// Write writes p and waits for what was handed over before.
func (w *steadyWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var k int
		k, err = w.file.Write(p[:min(len(p), steadyStep)])
		n, p = n+k, p[k:]
		if w.at += int64(k); w.at-w.sent >= steadyStep {
			writeBack(w.file, w.done, w.sent-w.done, true)
			writeBack(w.file, w.sent, w.at-w.sent, false)
			w.done, w.sent = w.sent, w.at
		}
	}
	return n, err
}
