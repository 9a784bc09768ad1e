package scrub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"saaf"
	"saaf/store"
)

// Spreading is how a snapshot reaches all servers before it becomes the active one,
// where several share the store. Elsewhere nothing of it happens.
type Spreading struct {
	Limit    time.Duration        // how long servers are waited for that cannot answer from it yet; 0 is two minutes
	Progress func(SpreadProgress) // nil is not called
	Warn     func(string)         // called for each server that was not waited for any longer; nil is not
}

// SpreadStage is what a snapshot is at on its way to all servers.
type SpreadStage string

// The stages, in their order.
const (
	Publishing SpreadStage = "publishing" // its files go into the store
	Preparing  SpreadStage = "preparing"  // servers fetch and verify them
)

// SpreadProgress is how far a snapshot is on its way. The bytes are those of the file
// at work, or, of all servers together, those of the snapshot's own file.
type SpreadProgress struct {
	Stage      SpreadStage
	BytesDone  int64
	BytesTotal int64
	Servers    int            // that run
	Waiting    []store.Server // those that cannot answer from it yet
}

const (
	spreadLimit = 120 * time.Second
	spreadEvery = 100 * time.Millisecond
	touchEvery  = 10 * time.Second
	settleLimit = 10 * time.Second // a mark that stays does no harm
	// uploadLife is how long files of an import stay in the store that has died.
	uploadLife = time.Hour
)

// spreader brings one snapshot to all servers.
type spreader struct {
	Spreading
	store *store.Store
	dir   string
	snap  *saaf.Snapshot
	bytes int64  // of its newest file
	aside func() // as in ImportRequest
}

// spread publishes the files of a snapshot and returns when every server that lives
// can answer from it at once, or after the limit, with a warning for each that
// cannot. The mark that has servers hold it stays until settle.
func (s *spreader) spread(ctx context.Context) error {
	if !s.store.Shared() {
		return nil
	}
	if s.Limit <= 0 {
		s.Limit = spreadLimit
	}
	if s.Progress == nil {
		s.Progress = func(SpreadProgress) {}
	}
	if err := s.publish(ctx); err != nil {
		return err
	}
	lacking, err := s.await(ctx)
	if err != nil || s.Warn == nil {
		return err
	}
	for _, sv := range lacking {
		s.Warn(fmt.Sprintf("%s could not answer from the snapshot within %s and was not waited for any longer: it answers unknown until it can", sv.String(), s.Limit))
	}
	return nil
}

// publish has the files in the store, and marks them as those to be prepared for.
func (s *spreader) publish(ctx context.Context) error {
	info, err := os.Stat(snapshotPath(s.dir, s.snap.SHA256))
	if err != nil {
		return err
	}
	s.bytes = info.Size()
	files := func() error {
		return publish(ctx, s.store, s.dir, s.snap, func(done, total int64) {
			s.Progress(SpreadProgress{Stage: Publishing, BytesDone: done, BytesTotal: total})
		})
	}
	for try := 1; ; try++ {
		err := s.standBack(files)
		if err == nil {
			err = s.mark(ctx, true)
		}
		// Somebody who tidies up was quicker than the mark.
		if !errors.Is(err, store.ErrNotPublished) || try == publishTries {
			return err
		}
	}
}

// standBack does heavy work in a goroutine that stands back behind others.
func (s *spreader) standBack(do func() error) error {
	if s.aside == nil {
		return do()
	}
	done := make(chan error, 1)
	go func() {
		s.aside()
		done <- do()
	}()
	return <-done
}

func (s *spreader) mark(ctx context.Context, pending bool) error {
	return patiently(ctx, func() error { return s.store.SetPending(ctx, s.snap.SHA256, pending) })
}

// await returns the servers that live and cannot answer from the snapshot when the
// time is over, none when all can.
func (s *spreader) await(ctx context.Context) (lacking []store.Server, err error) {
	tick := time.NewTicker(spreadEvery)
	defer tick.Stop()
	begun := time.Now()
	touched := begun
	for {
		var living []store.Server
		err := patiently(ctx, func() (err error) { living, _, err = s.store.Running(ctx); return err })
		if err != nil {
			return nil, err
		}
		lacking = s.lacking(living)
		if len(lacking) == 0 || time.Since(begun) >= s.Limit {
			return lacking, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		whole, marked, err := s.look(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case !whole: // found damaged, or removed
			err = s.publish(ctx)
		case !marked, time.Since(touched) >= touchEvery:
			touched = time.Now()
			err = s.mark(ctx, true)
		}
		if err != nil && !errors.Is(err, store.ErrNotPublished) {
			return nil, err
		}
	}
}

// look reports whether the files of the snapshot are in the store, and whether it has
// its mark: another importer of the same files may have taken it away.
func (s *spreader) look(ctx context.Context) (whole, marked bool, err error) {
	var list []store.SnapshotUpload
	err = patiently(ctx, func() (err error) { list, err = s.store.Uploads(ctx); return err })
	left := filesOf(s.snap)
	for _, u := range list {
		if u.Ready {
			left = slices.DeleteFunc(left, func(sha saaf.SHA256) bool { return sha == u.SHA256 })
		}
		marked = marked || u.Pending && u.SHA256 == s.snap.SHA256
	}
	return len(left) == 0, marked, err
}

// lacking are those of the servers that cannot answer from the snapshot at once. It
// says how far they are.
func (s *spreader) lacking(living []store.Server) (list []store.Server) {
	p := SpreadProgress{Stage: Preparing, Servers: len(living), BytesTotal: int64(len(living)) * s.bytes}
	for i := range living {
		sv := &living[i]
		if sv.HasPrepared(s.snap.SHA256) {
			p.BytesDone += s.bytes
			continue
		}
		list = append(list, *sv)
		p.BytesDone += min(sv.Fetched, s.bytes)
	}
	p.Waiting = list
	s.Progress(p)
	return list
}

// settle takes the mark away, whatever became of the snapshot.
func (s *spreader) settle(ctx context.Context) error {
	if !s.store.Shared() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	err := s.mark(ctx, false)
	if errors.Is(err, store.ErrNotPublished) {
		return nil
	}
	return err
}

// tidyStore removes the files from the store, where servers share it, that belong to no
// snapshot which is kept, and to none on its way. A roll-back does not: the re-check
// after it compares with the snapshot that was left.
func tidyStore(ctx context.Context, st *store.Store) error {
	if !st.Shared() {
		return nil
	}
	kept, err := st.KeptSnapshots(ctx, KeepSnapshots)
	if err != nil {
		return err
	}
	var files []saaf.SHA256
	for i := range kept {
		files = append(files, filesOf(&kept[i])...)
	}
	_, err = st.TidyUploads(ctx, files, uploadLife)
	return err
}
