package scrub

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// Config is what the Service needs. All of it is required.
type Config struct {
	Store    *store.Store
	Registry *dnd.Registry // what this process answers from
	Dir      string        // directory of the snapshot files
	Log      *slog.Logger
}

// Service keeps the registry of this process and the leads of the store in step
// with the active snapshot.
type Service struct {
	store    *store.Store
	registry *dnd.Registry
	dir      string
	log      *slog.Logger

	mu       sync.Mutex
	problem  string          // guarded by mu; why the active snapshot is not served
	verified saaf.SnapshotID // guarded by mu; the snapshot whose file was read whole and matched its hash
	damaged  saaf.SnapshotID // guarded by mu; the snapshot whose file did not
}

// NewService returns a Service that answers unknown until the first [Service.Load].
func NewService(c Config) *Service {
	return &Service{store: c.Store, registry: c.Registry, dir: c.Dir, log: c.Log.With("component", "scrub")}
}

// Serving is what this process answers from.
type Serving struct {
	Version  int64           // the deployment version that was taken
	Snapshot saaf.SnapshotID // 0 for none
	Problem  string          // why it is not the active snapshot; empty when it is
}

// Load makes this process answer from the active snapshot. When its file cannot
// be opened the process answers unknown, never from an older snapshot, and
// Problem says why.
func (s *Service) Load(ctx context.Context) (Serving, error) {
	st, err := s.store.Registry(ctx)
	if err != nil {
		return Serving{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	serving := s.registry.View().Ref().ID
	switch {
	case st.Active == nil:
		if serving != 0 {
			s.registry.Use(nil, saaf.SnapshotRef{})
		}
		s.problem = ""
	case st.Active.ID == s.damaged:
	case st.Active.ID != serving:
		s.open(ctx, st.Active)
	}
	return Serving{Version: st.Version, Snapshot: s.registry.View().Ref().ID, Problem: s.problem}, nil
}

// open swaps the snapshot in; s.mu is held.
func (s *Service) open(ctx context.Context, active *saaf.Snapshot) {
	start := time.Now()
	snap, err := dnd.Open(snapshotPath(s.dir, active.SHA256))
	if err == nil && snap.Info().Numbers != active.Numbers {
		err = fmt.Errorf("it holds %d numbers and the record says %d", snap.Info().Numbers, active.Numbers)
	}
	if err != nil {
		problem := fmt.Sprintf("snapshot %s cannot be opened: %v", active.ID, err)
		if s.problem != problem {
			s.log.ErrorContext(ctx, "the active snapshot cannot be opened, answering unknown", "snapshot", active.ID.String(), "error", err)
		}
		s.problem = problem
		s.registry.Use(nil, saaf.SnapshotRef{})
		return
	}
	s.problem = ""
	s.registry.Use(snap, saaf.SnapshotRef{ID: active.ID, EffectiveDate: active.EffectiveDate})
	s.log.InfoContext(ctx, "answering from snapshot", "snapshot", active.ID.String(),
		"effective_date", active.EffectiveDate.String(), "numbers", active.Numbers, "took", time.Since(start))
}

// verify reads the file of the snapshot whole, once, and stops answering from it
// when it is not what was imported: a damaged disk must not turn a listed number
// into a clean one.
func (s *Service) verify(ctx context.Context, active *saaf.Snapshot) error {
	s.mu.Lock()
	done := s.verified == active.ID
	s.mu.Unlock()
	if done {
		return nil
	}
	err := dnd.Verify(ctx, snapshotPath(s.dir, active.SHA256), active.SHA256)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.verified = active.ID
		return nil
	}
	if s.registry.View().Ref().ID == active.ID {
		s.registry.Use(nil, saaf.SnapshotRef{})
	}
	s.damaged = active.ID
	s.problem = fmt.Sprintf("snapshot %s is damaged: %v; import the registry again", active.ID, err)
	return fmt.Errorf("verify snapshot %s: %w", active.ID, err)
}

// snapshotPath is where the file of a snapshot is.
func snapshotPath(dir string, sha saaf.SHA256) string {
	return filepath.Join(dir, sha.String()+dnd.Extension)
}

// Status says in plain words what this process answers from.
type Status struct {
	State         string // fresh, warn, stale or none
	ID            saaf.SnapshotID
	EffectiveDate saaf.Date
	Age           time.Duration
	Warnings      []string
}

// Status is the present status.
func (s *Service) Status(now time.Time) Status {
	f := s.registry.View().Freshness(now)
	st := Status{State: f.State.String(), ID: f.ID, EffectiveDate: f.EffectiveDate, Age: f.Age}
	s.mu.Lock()
	problem := s.problem
	s.mu.Unlock()
	if problem != "" {
		st.Warnings = append(st.Warnings, problem)
	}
	if w := Advice(f); w != "" {
		st.Warnings = append(st.Warnings, w)
	}
	return st
}

// Advice is the sentence for an operator whose registry is not fresh, "" when it
// is.
func Advice(f dnd.Freshness) string {
	days := int(f.Age / (24 * time.Hour))
	switch f.State {
	case dnd.None:
		return "No registry snapshot answers: leads are stored unchecked and never dialled. Load one with saaf registry import."
	case dnd.Warn:
		return fmt.Sprintf("The registry is %d days old (dated %s): an update is overdue; past its age limit it answers unknown.", days, f.EffectiveDate)
	case dnd.Stale:
		return fmt.Sprintf("The registry is %d days old (dated %s) and no longer answers: leads are stored unchecked and never dialled. Load a newer one with saaf registry import.", days, f.EffectiveDate)
	}
	return ""
}

// Answers reports whether a fresh registry stands behind clean verdicts now.
func (s *Service) Answers(now time.Time) bool {
	return s.registry.View().Freshness(now).Answers()
}

// RegistryDir is where snapshot files live in a data directory.
func RegistryDir(dataDir string) string { return filepath.Join(dataDir, "registry") }

// pruneSnapshots removes the files of all but the newest keep snapshots. Records
// stay.
func pruneSnapshots(ctx context.Context, st *store.Store, dir string, keep int) error {
	list, err := st.Snapshots(ctx, keep)
	if err != nil {
		return err
	}
	wanted := make(map[string]bool, len(list))
	for _, s := range list {
		wanted[filepath.Base(snapshotPath(dir, s.SHA256))] = true
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+dnd.Extension))
	if err != nil {
		return err
	}
	for _, f := range files {
		if !wanted[filepath.Base(f)] {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return nil
}
