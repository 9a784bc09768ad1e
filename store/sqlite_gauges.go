package store

import "os"

// EmbeddedGauges are what an embedded store takes beside its database file.
type EmbeddedGauges struct {
	Campaigns   int   // whose phones are in memory
	PhoneMemory int64 // bytes that they take
	LogBytes    int64 // of the write-ahead log, which grows while somebody reads for long
}

// EmbeddedGauges measures; ok is false for a store on a database server.
func (s *Store) EmbeddedGauges() (g EmbeddedGauges, ok bool) {
	e, ok := s.engine.(*embedded)
	if !ok {
		return g, false
	}
	g.Campaigns, g.PhoneMemory = e.rosters.memory()
	if info, err := os.Stat(e.path + "-wal"); err == nil {
		g.LogBytes = info.Size()
	}
	return g, true
}
