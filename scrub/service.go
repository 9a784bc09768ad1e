package scrub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrubber"
	"saaf/store"
)

// Config is what the Service needs. All but Source and Importer is required.
type Config struct {
	Store    *store.Store
	Registry *dnd.Registry // what this process answers from
	Dir      string        // directory of the snapshot files
	Uploads  string        // directory for registry files that come over the API
	Source   *scrubber.Source
	Log      *slog.Logger

	// Importer does one import that came over the API, by [RunImport] in a process
	// of its own: a large import then takes neither memory nor, where that process
	// is nice, time from requests. Nil does it in this process.
	// It writes under the lease.
	Importer func(context.Context, store.Lease, saaf.RegistryImportID) error
}

// Service keeps the registry of this process and the leads of the store in step
// with the active snapshot.
type Service struct {
	store    *store.Store
	registry *dnd.Registry
	source   *scrubber.Source // nil for none
	dir      string
	uploads  string
	importer func(context.Context, store.Lease, saaf.RegistryImportID) error
	log      *slog.Logger

	imports   bell     // rung when an import was queued
	awaited   absences // owned by RunImports
	uploading sync.Map // names of files that are still arriving

	loading sync.Mutex // held by Load from its look at the store to the swap
	shelf   shelf

	mu        sync.Mutex    // guards what follows, and the registry together with problem
	problem   string        // why the active snapshot is not served
	fetching  bool          // that is because it is on its way from the store
	said      string        // the state of freshness that was logged last
	prepared  []saaf.SHA256 // see Prepared
	unfetched error         // why the files of the active snapshot are not here

	fetched atomic.Int64 // see Fetched

	memory memory // owned by whoever does the passes, one at a time
	heard  bool   // owned by the goroutine that logs: the source was last seen to fail
}

// NewService returns a Service that answers unknown until the first [Service.Load].
func NewService(c Config) *Service {
	return &Service{store: c.Store, registry: c.Registry, source: c.Source, dir: c.Dir, uploads: c.Uploads, importer: c.Importer,
		imports: make(bell, 1), shelf: shelf{dir: c.Dir}, log: c.Log.With("component", "scrub")}
}

// Serving is what this process answers from.
type Serving struct {
	Version  int64           // the deployment version that was taken
	Snapshot saaf.SnapshotID // 0 for none
	Problem  string          // why it is not the active snapshot; empty when it is
}

// Load makes this process answer from the active snapshot, whose file is first
// read whole: a damaged disk must not turn a listed number into a clean one. When
// the file cannot be read or is not what was imported the process answers unknown,
// never from an older snapshot, and Problem says why. The next Load tries again.
func (s *Service) Load(ctx context.Context) (Serving, error) {
	// Of two, the one that looked first must not swap last.
	s.loading.Lock()
	defer s.loading.Unlock()
	st, err := s.store.Registry(ctx)
	if err != nil {
		return Serving{}, err
	}
	switch {
	case st.Active == nil:
		s.use(nil, saaf.SnapshotRef{}, "")
	case st.Active.ID != s.registry.View().Ref().ID:
		if err := s.open(ctx, st.Active); err != nil {
			return Serving{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Serving{Version: st.Version, Snapshot: s.registry.View().Ref().ID, Problem: s.problem}, nil
}

// open swaps the snapshot in, or says in problem why it does not; s.loading is
// held. An error is that of ctx.
func (s *Service) open(ctx context.Context, active *saaf.Snapshot) error {
	start := time.Now()
	if s.store.Shared() && ctx.Err() == nil && s.registry.View().Ref() != (saaf.SnapshotRef{}) && !s.shelf.holds(active) {
		// Others answer from it already, and to read it whole takes seconds. Who has
		// prepared for it holds it.
		s.use(nil, saaf.SnapshotRef{}, fmt.Sprintf("snapshot %s is being verified here", active.ID))
	}
	snap, err := s.shelf.open(ctx, active, nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		problem, fetching := s.describe(active, err)
		switch news := s.answer(nil, saaf.SnapshotRef{}, problem, fetching); {
		case news && fetching:
			s.log.InfoContext(ctx, "the active snapshot is being fetched, answering unknown until it is here", "snapshot", active.ID.String())
		case news:
			s.log.ErrorContext(ctx, "the active snapshot cannot be used, answering unknown", "snapshot", active.ID.String(), "error", err)
		}
		return nil
	}
	if len(active.Overridden) > 0 {
		s.log.WarnContext(ctx, "the active snapshot was taken in spite of what spoke against it: numbers that were not read count as not registered",
			"snapshot", active.ID.String(), "overridden", active.Overridden, "rows", active.Rows, "reason", saaf.MaskNumbers(active.OverrideReason))
	}
	s.use(snap, saaf.SnapshotRef{ID: active.ID, EffectiveDate: active.EffectiveDate}, "")
	s.shelf.use(active)
	if !s.store.Shared() { // else those are open that may be the next
		s.shelf.keep()
	}
	s.log.InfoContext(ctx, "answering from snapshot", "snapshot", active.ID.String(),
		"effective_date", active.EffectiveDate.String(), "numbers", active.Numbers, "took", time.Since(start))
	return nil
}

// describe says why a snapshot cannot be used. fetching is true for one that is on its
// way from the store, and has met no trouble.
func (s *Service) describe(active *saaf.Snapshot, err error) (problem string, fetching bool) {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("snapshot %s cannot be used: %v. This server runs as the user %d, who must own the file: give it to that user with chown, and run commands on the data directory as that user",
			active.ID, err, os.Geteuid()), false
	}
	if !s.store.Shared() || !errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("snapshot %s cannot be used: %v", active.ID, err), false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unfetched != nil {
		return fmt.Sprintf("snapshot %s is not here yet: %v", active.ID, s.unfetched), false
	}
	return fmt.Sprintf("snapshot %s is not here yet: it is being fetched", active.ID), true
}

// use answers from snap from now on, nil for none, and reports whether problem,
// why that is not the active snapshot, is a new one.
func (s *Service) use(snap *dnd.Snapshot, ref saaf.SnapshotRef, problem string) (news bool) {
	return s.answer(snap, ref, problem, false)
}

// answer is use, with whether the active snapshot is being fetched.
func (s *Service) answer(snap *dnd.Snapshot, ref saaf.SnapshotRef, problem string, fetching bool) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.problem != problem
	s.problem, s.fetching = problem, fetching
	// From none to none nothing moves.
	if snap != nil || s.registry.View().Ref() != (saaf.SnapshotRef{}) {
		s.registry.Use(snap, ref)
	}
	return news
}
