package scrub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"saaf"
	"saaf/store"
)

const (
	// prepareEvery is how often a server looks for files that were published.
	prepareEvery = 250 * time.Millisecond
	// A file that cannot be fetched is tried again, ever more rarely.
	firstFetchPause = time.Second
	lastFetchPause  = time.Minute
	// passAgain is when a pass is done again that has left something to do.
	passAgain = time.Second
)

// Prepared are the newest files of the snapshots that this process can answer from
// at once.
func (s *Service) Prepared() []saaf.SHA256 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prepared
}

// Fetched is how many bytes are there of the files that are being fetched.
func (s *Service) Fetched() int64 { return s.fetched.Load() }

// RunPreparing has this process hold, until ctx ends, the active snapshot and those
// that are about to become it: it fetches their files from the store, verifies and
// maps them, so that a swap takes milliseconds. It also publishes what should be in
// the store and is not. Where no other servers share the store it does nothing.
func (s *Service) RunPreparing(ctx context.Context) error {
	if !s.store.Shared() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(prepareEvery)
	defer tick.Stop()
	p := preparing{Service: s, tries: make(map[saaf.SHA256]*attempt), ill: make(map[saaf.SHA256]illness)}
	for {
		err := p.pass(ctx)
		if ctx.Err() == nil {
			p.say(ctx, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// preparing is what the passes of RunPreparing remember of each other.
type preparing struct {
	*Service
	version int64                    // of the deployment, in the last pass
	uploads []store.SnapshotUpload   // likewise
	again   time.Time                // when the last pass wants another, though nothing has changed; zero for never
	tries   map[saaf.SHA256]*attempt // of files that could not be fetched
	ill     map[saaf.SHA256]illness  // files that should be in the store and are not
	said    string                   // the error that was logged last
}

type attempt struct {
	after time.Time
	pause time.Duration
	err   error
}

type illness struct {
	touched time.Time // when somebody worked on it last, by the store
	since   time.Time // when that was seen, by the clock of this process
}

// say logs what keeps this process from preparing, when it is news.
func (p *preparing) say(ctx context.Context, err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != p.said && said != "" {
		p.log.WarnContext(ctx, "snapshot files cannot be prepared yet, will be tried again", "error", err)
	}
	p.said = said
}

// pass brings this process into step with the store, once.
func (p *preparing) pass(ctx context.Context) error {
	version, err := p.store.Version(ctx)
	if err != nil {
		return err
	}
	uploads, err := p.store.Uploads(ctx)
	if err != nil {
		return err
	}
	if version == p.version && slices.Equal(uploads, p.uploads) && (p.again.IsZero() || time.Now().Before(p.again)) {
		return nil
	}
	kept, err := p.store.KeptSnapshots(ctx, KeepSnapshots)
	if err != nil {
		return err
	}
	p.retry(uploads)
	err = errors.Join(p.hold(ctx, wanted(kept, uploads)), p.heal(ctx, kept, uploads))
	if len(kept) > 0 { // an empty register does not know what is here
		err = errors.Join(err, p.tidyDir(ctx))
	}
	p.version, p.uploads, p.again = version, uploads, time.Time{}
	if err != nil || len(p.ill) > 0 {
		p.again = time.Now().Add(passAgain)
	}
	return err
}

// retry forgets of files that somebody has worked on that they could not be fetched.
func (p *preparing) retry(uploads []store.SnapshotUpload) {
	for _, u := range uploads {
		if !slices.Contains(p.uploads, u) {
			delete(p.tries, u.SHA256)
		}
	}
}

// wanted are the snapshots to answer from at once: the active one, and those that are
// pending and whole.
func wanted(kept []saaf.Snapshot, uploads []store.SnapshotUpload) (list []saaf.Snapshot) {
	list = append(list, kept[:min(1, len(kept))]...)
	for _, u := range uploads {
		if u.Pending && u.Ready {
			list = append(list, saaf.Snapshot{SHA256: u.SHA256, BaseSHA256: u.Base})
		}
	}
	return list
}

// hold opens these snapshots and closes others. One that cannot be opened keeps
// nobody from the rest.
func (p *preparing) hold(ctx context.Context, list []saaf.Snapshot) error {
	var errs []error
	var files []saaf.SHA256
	for i := range list {
		_, err := p.shelf.open(ctx, &list[i], func(sha saaf.SHA256) error { return p.mend(ctx, sha) })
		files, errs = append(files, filesOf(&list[i])...), append(errs, err)
		p.tell(list, errs)
	}
	p.shelf.keep(files...)
	p.tell(list, errs)
	p.fetched.Store(0)
	return errors.Join(errs...)
}

// tell says what of a list is held, and why the first, the active one, is not.
func (p *preparing) tell(list []saaf.Snapshot, errs []error) {
	var prepared []saaf.SHA256
	for _, snap := range list {
		if p.shelf.get(snap.SHA256) != nil && !slices.Contains(prepared, snap.SHA256) {
			prepared = append(prepared, snap.SHA256)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prepared, p.unfetched = prepared, nil
	if len(errs) > 0 {
		p.unfetched = errs[0]
	}
}

// mend fetches a file that is missing or damaged here.
func (p *preparing) mend(ctx context.Context, sha saaf.SHA256) error {
	last := p.tries[sha]
	if last != nil && time.Now().Before(last.after) {
		return last.err
	}
	before, start := p.fetched.Load(), time.Now()
	err := fetch(ctx, p.store, p.dir, sha, func(done, _ int64) { p.fetched.Store(before + done) })
	switch {
	case err == nil:
		delete(p.tries, sha)
		p.log.InfoContext(ctx, "snapshot file fetched", "sha256", sha.String(), "took", time.Since(start))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err == store.ErrNotPublished: // which costs nothing to find out
		return fmt.Errorf("snapshot file %s: %w", sha, err)
	}
	if last == nil {
		last = new(attempt)
		p.tries[sha] = last
	}
	last.pause = min(max(2*last.pause, firstFetchPause), lastFetchPause)
	last.after, last.err = time.Now().Add(last.pause), fmt.Errorf("fetch the snapshot file %s: %w", sha, err)
	return last.err
}

// tidyDir removes the files from the directory that belong to nothing any more.
func (p *preparing) tidyDir(ctx context.Context) error {
	lock, err := shareDir(p.dir)
	if err != nil {
		return err
	}
	return errors.Join(lock.prune(ctx, p.store, KeepSnapshots), lock.release())
}
