package scrub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
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

	loading sync.Mutex    // held by Load from its look at the store to the swap
	damaged damagedFile   // guarded by loading
	base    *dnd.Snapshot // guarded by loading; the base file that was verified and mapped last
	baseSHA saaf.SHA256   // guarded by loading; of base

	mu      sync.Mutex // guards problem, and the registry together with it
	problem string     // why the active snapshot is not served
	said    string     // the state of freshness that was logged last

	memory memory // owned by whoever does the passes, one at a time
	heard  bool   // owned by the goroutine that logs: the source was last seen to fail
}

// damagedFile is a file that was read whole and did not match the hash of its
// snapshot: it is not read again before it changes.
type damagedFile struct {
	sha  saaf.SHA256
	file os.FileInfo
	err  error // what was found
}

// NewService returns a Service that answers unknown until the first [Service.Load].
func NewService(c Config) *Service {
	return &Service{store: c.Store, registry: c.Registry, source: c.Source, dir: c.Dir, uploads: c.Uploads, importer: c.Importer,
		imports: make(bell, 1), log: c.Log.With("component", "scrub")}
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
	snap, err := s.read(ctx, active)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		problem := fmt.Sprintf("snapshot %s cannot be used: %v", active.ID, err)
		if s.use(nil, saaf.SnapshotRef{}, problem) {
			s.log.ErrorContext(ctx, "the active snapshot cannot be used, answering unknown", "snapshot", active.ID.String(), "error", err)
		}
		return nil
	}
	s.use(snap, saaf.SnapshotRef{ID: active.ID, EffectiveDate: active.EffectiveDate}, "")
	s.log.InfoContext(ctx, "answering from snapshot", "snapshot", active.ID.String(),
		"effective_date", active.EffectiveDate.String(), "numbers", active.Numbers, "took", time.Since(start))
	return nil
}

// read opens the files of a snapshot when they are what was imported; s.loading is
// held. A base that this process has verified before is not read again: a delta
// costs no more than its overlay.
func (s *Service) read(ctx context.Context, active *saaf.Snapshot) (*dnd.Snapshot, error) {
	if sha := baseOf(active); s.base == nil || s.baseSHA != sha {
		if err := s.verify(ctx, sha); err != nil {
			return nil, err
		}
		base, err := dnd.Open(snapshotPath(s.dir, sha))
		if err != nil {
			return nil, err
		}
		s.base, s.baseSHA = base, sha
	}
	if active.BaseSHA256 == (saaf.SHA256{}) {
		return s.base, nil
	}
	if err := s.verify(ctx, active.SHA256); err != nil {
		return nil, err
	}
	return dnd.OpenOverlay(snapshotPath(s.dir, active.SHA256), s.base, s.baseSHA)
}

// verify reads a file whole and holds it against its hash. The hash comes before
// the mapping, because an import may put another file of the same content in place
// of this one.
func (s *Service) verify(ctx context.Context, sha saaf.SHA256) error {
	path := snapshotPath(s.dir, sha)
	file, err := os.Stat(path)
	if err != nil {
		return err
	}
	if s.damaged.sha == sha && unchanged(s.damaged.file, file) {
		return s.damaged.err
	}
	err = dnd.Verify(ctx, path, sha)
	if _, unread := errors.AsType[*fs.PathError](err); err != nil && !unread && ctx.Err() == nil {
		s.damaged = damagedFile{sha, file, err}
	}
	return err
}

// unchanged reports whether a file is as it was.
func unchanged(was, is os.FileInfo) bool {
	return os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}

// use answers from snap from now on, nil for none, and reports whether problem,
// why that is not the active snapshot, is a new one.
func (s *Service) use(snap *dnd.Snapshot, ref saaf.SnapshotRef, problem string) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.problem != problem
	s.problem = problem
	// From none to none nothing moves.
	if snap != nil || s.registry.View().Ref() != (saaf.SnapshotRef{}) {
		s.registry.Use(snap, ref)
	}
	return news
}
