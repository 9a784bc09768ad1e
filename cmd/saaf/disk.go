package main

import (
	"fmt"
	"time"
)

// sayFullEvery is how often the log says that the disk is still full.
const sayFullEvery = time.Minute

// diskWatch says in the log when writes begin and cease to find no room.
type diskWatch struct {
	warned  bool // since there was room last
	said    time.Time
	refused int64 // when it was said
}

func (d *diskWatch) look(s *server, now time.Time) {
	full, refused := s.store.Full()
	switch {
	case full && refused > d.refused && now.Sub(d.said) >= sayFullEvery:
		s.cfg.Log.Warn(s.fullDisk(), "refused", refused-d.refused)
		*d = diskWatch{true, now, refused}
	case !full && d.warned:
		s.cfg.Log.Info("the disk of the store seems to have room again: no write was refused for 30 seconds", "refused", refused-d.refused)
		d.warned, d.refused = false, refused
	}
}

// fullDisk is the sentence for an operator.
func (s *server) fullDisk() string {
	where := "of " + s.cfg.DataDir
	if s.store.Shared() {
		where = "of the database"
	}
	return fmt.Sprintf("The disk %s is full: writes are refused with 503 storage_unavailable and nothing of them is stored. Make room there; it goes on by itself.", where)
}

// warnings are what this process has to say in /readyz beside the registry.
func (s *server) warnings() []string {
	if full, _ := s.store.Full(); full {
		return []string{s.fullDisk()}
	}
	return nil
}
