package store

import (
	"slices"

	"saaf"
)

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

// optionalHash is a hash as a column has it that may be NULL.
func optionalHash(h saaf.SHA256) []byte {
	if h == (saaf.SHA256{}) {
		return nil
	}
	return h[:]
}
