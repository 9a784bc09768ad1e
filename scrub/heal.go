package scrub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"saaf"
	"saaf/store"
)

// healAfter is how long a file of a snapshot that is kept has to be missing in the
// store, with nobody at work on it, before a server that has it publishes it.
const healAfter = 3 * time.Second

// heal publishes files of snapshots that are kept, which the store should have and
// has not: after a deployment has moved to this store, or when blocks were damaged.
func (p *preparing) heal(ctx context.Context, kept []saaf.Snapshot, uploads []store.SnapshotUpload) error {
	known := make(map[saaf.SHA256]store.SnapshotUpload, len(uploads))
	for _, u := range uploads {
		known[u.SHA256] = u
	}
	before := p.ill
	p.ill = make(map[saaf.SHA256]illness)
	for i := range kept {
		snap := &kept[i]
		missing, err := p.missing(snap, known)
		if err != nil {
			return err
		}
		due := false
		for _, sha := range missing {
			was, seen := before[sha]
			if touched := known[sha].TouchedAt; !seen || !was.touched.Equal(touched) {
				was = illness{touched, time.Now()}
			}
			p.ill[sha] = was
			due = due || time.Since(was.since) >= healAfter
		}
		if !due {
			continue
		}
		for _, sha := range missing {
			delete(p.ill, sha) // and from the beginning, should it fail
		}
		if err := publish(ctx, p.store, p.dir, snap, func(_, _ int64) {}); err != nil {
			return err
		}
		p.log.InfoContext(ctx, "a snapshot was not in the store and was published", "snapshot", snap.ID.String())
	}
	return nil
}

// missing are the files of a snapshot that the store does not have whole, when this
// process has all of them.
func (p *preparing) missing(snap *saaf.Snapshot, known map[saaf.SHA256]store.SnapshotUpload) (list []saaf.SHA256, err error) {
	for _, sha := range filesOf(snap) {
		if known[sha].Ready {
			continue
		}
		if _, err := os.Stat(snapshotPath(p.dir, sha)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		list = append(list, sha)
	}
	return list, nil
}
