package store

import (
	"slices"
	"time"

	"saaf"
)

// SilentAfter is from when on a server whose heartbeat does not move counts as dead.
// It beats every two seconds.
const SilentAfter = 8 * time.Second

// Heartbeats tells servers that live from rows that dead ones have left, by whether
// their heartbeats move while it looks. So no clock of another machine has a part in
// it. The zero value is ready for use.
type Heartbeats struct {
	last map[saaf.ServerID]heartbeat
}

type heartbeat struct {
	seen time.Time // by the clock of whoever wrote it
	at   time.Time // when it was first read, here
}

// Living returns those of list that live, and leaves list as it is. Each counts as
// living until it has been silent here for [SilentAfter].
func (h *Heartbeats) Living(list []Server, now time.Time) []Server {
	if h.last == nil {
		h.last = make(map[saaf.ServerID]heartbeat)
	}
	return slices.DeleteFunc(slices.Clone(list), func(sv Server) bool {
		last, known := h.last[sv.ID]
		if !known || !last.seen.Equal(sv.SeenAt) {
			last = heartbeat{sv.SeenAt, now}
			h.last[sv.ID] = last
		}
		return now.Sub(last.at) >= SilentAfter
	})
}

// HasPrepared reports whether the server can answer at once from the snapshot whose
// newest file this is.
func (sv *Server) HasPrepared(sha saaf.SHA256) bool { return slices.Contains(sv.Prepared, sha) }

// joinHashes is a list of hashes as a column has it.
func joinHashes(list []saaf.SHA256) []byte {
	var b []byte
	for _, h := range list {
		b = append(b, h[:]...)
	}
	return b
}

func splitHashes(b []byte) (list []saaf.SHA256) {
	for h := range slices.Chunk(b, len(saaf.SHA256{})) {
		if len(h) == len(saaf.SHA256{}) {
			list = append(list, saaf.SHA256(h))
		}
	}
	return list
}
