package scrub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"saaf"
	"saaf/store"
)

// publish puts those files of a snapshot into the store that are not there yet, from
// where every server takes them: the base first, and an overlay as an overlay. Where
// somebody has begun before, or does it at the same time, it goes on with what is
// there, block by block, once it has compared it.
func publish(ctx context.Context, st *store.Store, dir string, snap *saaf.Snapshot, progress func(done, total int64)) error {
	ready, err := published(ctx, st)
	if err != nil {
		return err
	}
	for _, sha := range filesOf(snap) {
		if ready[sha] {
			continue
		}
		var base saaf.SHA256
		if sha == snap.SHA256 {
			base = snap.BaseSHA256
		}
		if err := publishFile(ctx, st, dir, sha, base, progress); err != nil {
			return fmt.Errorf("publish the snapshot file %s: %w", sha, err)
		}
	}
	return nil
}

// PublishKept puts the files of all snapshots that are kept into a store that servers
// share, from the directory of one that was moved there. What cannot be published is a
// warning: until the registry is imported again nobody answers from it.
func PublishKept(ctx context.Context, st *store.Store, dir string, progress func(done, total int64)) (snapshots int, warnings []string, err error) {
	kept, err := Kept(ctx, st, dir)
	if err != nil {
		return 0, nil, err
	}
	for i := range kept {
		switch err := publish(ctx, st, dir, &kept[i], progress); {
		case err == nil:
			snapshots++
		case errors.Is(err, os.ErrNotExist) || errors.Is(err, errOtherFile):
			warnings = append(warnings, fmt.Sprintf("snapshot %s: %v", kept[i].ID, err))
		default:
			return snapshots, warnings, err
		}
	}
	return snapshots, warnings, nil
}

// published are the files that the store has whole.
func published(ctx context.Context, st *store.Store) (map[saaf.SHA256]bool, error) {
	var list []store.SnapshotUpload
	err := patiently(ctx, func() (err error) { list, err = st.Uploads(ctx); return err })
	if err != nil {
		return nil, err
	}
	ready := make(map[saaf.SHA256]bool, len(list))
	for _, u := range list {
		ready[u.SHA256] = u.Ready
	}
	return ready, nil
}

// publishTries is how often a file is published anew that somebody removes meanwhile.
const publishTries = 3

func publishFile(ctx context.Context, st *store.Store, dir string, sha, base saaf.SHA256, progress func(done, total int64)) error {
	f, err := os.Open(snapshotPath(dir, sha))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	u := store.SnapshotUpload{SHA256: sha, Bytes: info.Size(), Base: base}
	for try := 1; ; try++ {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		err := publishBlocks(ctx, st, f, u, progress)
		if !errors.Is(err, store.ErrNotPublished) || try == publishTries {
			return err
		}
	}
}

// publishBlocks publishes what r reads. Whether that is the file it should be shows
// at its end: until then nobody takes it for whole.
func publishBlocks(ctx context.Context, st *store.Store, r io.Reader, u store.SnapshotUpload, progress func(done, total int64)) error {
	var known bool
	err := patiently(ctx, func() (err error) { known, err = st.BeginUpload(ctx, u); return err })
	if err != nil {
		return err
	}
	sum := sha256.New()
	block := make([]byte, store.BlockSize)
	for seq := range u.Blocks() {
		block = block[:min(store.BlockSize, u.Bytes-seq*store.BlockSize)]
		if _, err := io.ReadFull(r, block); err != nil {
			return err
		}
		sum.Write(block)
		there := false
		if known {
			if there, err = sameBlock(ctx, st, u.SHA256, seq, block); err != nil {
				return err
			}
		}
		if !there {
			if err := patiently(ctx, func() error { return st.PutBlock(ctx, u.SHA256, seq, block) }); err != nil {
				return err
			}
		}
		progress(min((seq+1)*store.BlockSize, u.Bytes), u.Bytes)
	}
	if saaf.SHA256(sum.Sum(nil)) != u.SHA256 {
		return fmt.Errorf("%w: restore it, or import the registry files again", errOtherFile)
	}
	return patiently(ctx, func() error { return st.EndUpload(ctx, u.SHA256) })
}

var errOtherFile = errors.New("the file is no longer what was imported")

// sameBlock reports whether the store has this block.
func sameBlock(ctx context.Context, st *store.Store, sha saaf.SHA256, seq int64, block []byte) (bool, error) {
	var there []byte
	err := patiently(ctx, func() (err error) { there, err = st.Block(ctx, sha, seq); return err })
	if errors.Is(err, store.ErrNotPublished) || errors.Is(err, store.ErrBlockDamaged) {
		return false, nil
	}
	return err == nil && bytes.Equal(there, block), err
}
