package scrub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// Fetch brings the files of a snapshot into dir that are not there, where several
// servers share the store. It leaves alone what is there, and what the store does not
// have. progress may be nil.
func Fetch(ctx context.Context, st *store.Store, dir string, snap *saaf.Snapshot, progress func(done, total int64)) error {
	if !st.Shared() {
		return nil
	}
	for _, sha := range filesOf(snap) {
		_, err := os.Stat(snapshotPath(dir, sha))
		if errors.Is(err, fs.ErrNotExist) {
			err = fetch(ctx, st, dir, sha, progress)
		}
		if err != nil && !errors.Is(err, store.ErrNotPublished) {
			return err
		}
	}
	return nil
}

// provide makes sure that a file is in dir and is what its hash says. One that is
// missing or damaged is fetched, where there is somewhere to fetch it from.
func provide(ctx context.Context, st *store.Store, dir string, sha saaf.SHA256) error {
	err := dnd.Verify(ctx, snapshotPath(dir, sha), sha)
	if err == nil || ctx.Err() != nil || !st.Shared() {
		return err
	}
	if ferr := fetch(ctx, st, dir, sha, nil); !errors.Is(ferr, store.ErrNotPublished) {
		return ferr
	}
	return err
}

// fetch brings a file from the store into dir, block by block, and has it under its
// name when all of it is durable there and has the right hash. When its blocks do not
// come to that, whoever has the file is asked to look after them.
func fetch(ctx context.Context, st *store.Store, dir string, sha saaf.SHA256, progress func(done, total int64)) (err error) {
	u, err := findUpload(ctx, st, sha)
	if err != nil {
		return err
	}
	lock, err := shareDir(dir) // what is being fetched must not be removed
	if err != nil {
		return fmt.Errorf("lock the snapshot directory: %w", err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	err = dnd.Save(ctx, dir, sha, func(w io.Writer) error {
		for seq := range u.Blocks() {
			block, err := st.Block(ctx, sha, seq)
			if err != nil {
				return err
			}
			if _, err := w.Write(block); err != nil {
				return err
			}
			if progress != nil {
				progress(min((seq+1)*store.BlockSize, u.Bytes), u.Bytes)
			}
			runtime.Gosched() // requests first
		}
		return nil
	})
	if errors.Is(err, store.ErrBlockDamaged) || errors.Is(err, dnd.ErrOtherContent) || errors.Is(err, store.ErrNotPublished) {
		err = errors.Join(fmt.Errorf("what the store has of it is damaged: %w", err), st.DoubtUpload(ctx, sha))
	}
	return err
}

// findUpload is a file that the store has whole.
func findUpload(ctx context.Context, st *store.Store, sha saaf.SHA256) (store.SnapshotUpload, error) {
	list, err := st.Uploads(ctx)
	if err != nil {
		return store.SnapshotUpload{}, err
	}
	for _, u := range list {
		if u.SHA256 == sha && u.Ready {
			return u, nil
		}
	}
	return store.SnapshotUpload{}, store.ErrNotPublished
}
