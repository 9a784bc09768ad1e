package store

import (
	"cmp"
	"context"
	"slices"

	"saaf"
)

// Checkpoint signs how far each chain of the ledger has come that is not sealed, unless
// the last checkpoint says so already. made is false then. Chains whose process is gone
// for good are named for the last time, and sealed with it.
func (s *Store) Checkpoint(ctx context.Context) (made bool, err error) {
	err = s.write(ctx, everything, 0, func(t *tx) error {
		made = false
		chains, err := openChains(t.conn)
		if err != nil {
			return err
		}
		c := saaf.Checkpoint{Version: 1, Deployment: t.deployment, Seq: 1, At: t.now}
		for i := range chains {
			if head := chains[i].head; head.Entry != 0 {
				c.Heads = append(c.Heads, head)
			}
		}
		last, seq, err := lastCheckpoint(t.conn)
		if err != nil || len(c.Heads) == 0 {
			return err
		}
		if seq > 0 {
			was, err := last.Open(s.PublicKey())
			// One that does not open was tampered with: go on behind it, and leave it
			// to the verification to say so.
			if err == nil && names(was.Heads, c.Heads) {
				return nil
			}
			c.Seq, c.Before = seq+1, last.Hash()
		}
		signed, err := c.Sign(s.secrets.signing)
		if err != nil {
			return err
		}
		const sqlInsertCheckpoint = `INSERT INTO checkpoints (seq, text, signature) VALUES ($1, $2, $3)`
		if _, err := t.exec(sqlInsertCheckpoint, c.Seq, signed.Text, signed.Signature); err != nil {
			return err
		}
		err = t.sealResting(chains, c.Seq)
		made = err == nil
		return err
	})
	return made, wrap("checkpoint", err)
}

// names reports whether a checkpoint that named some heads named these. Both are in the
// order of their writers.
func names(named, heads []saaf.CheckpointHead) bool {
	for _, h := range heads {
		i, there := slices.BinarySearchFunc(named, h.Writer, func(n saaf.CheckpointHead, writer int64) int { return cmp.Compare(n.Writer, writer) })
		if !there || named[i] != h {
			return false
		}
	}
	return true
}

const checkpointColumns = `seq, text, signature FROM checkpoints`

func lastCheckpoint(conn session) (c saaf.SignedCheckpoint, seq int64, err error) {
	const sqlLastCheckpoint = `SELECT ` + checkpointColumns + ` ORDER BY seq DESC LIMIT 1`
	err = conn.query(sqlLastCheckpoint, func(r row) error {
		last := scanCheckpoint(r)
		seq, c = last.Seq, last.SignedCheckpoint
		return nil
	})
	return c, seq, err
}

func scanCheckpoint(r row) StoredCheckpoint {
	return StoredCheckpoint{r.int64(), saaf.SignedCheckpoint{Text: r.bytes(), Signature: r.bytes()}}
}

// LastCheckpoint is the newest checkpoint and its number, 0 when there is none.
func (s *Store) LastCheckpoint(ctx context.Context) (c saaf.SignedCheckpoint, seq int64, err error) {
	err = s.read(ctx, func(conn session) error {
		c, seq, err = lastCheckpoint(conn)
		return err
	})
	return c, seq, wrap("read checkpoint", err)
}

// StoredCheckpoint is a checkpoint with the number it is stored under.
type StoredCheckpoint struct {
	Seq int64
	saaf.SignedCheckpoint
}

// CheckpointsAfter lists checkpoints above a number in their order, at most a page
// of them.
func (s *Store) CheckpointsAfter(ctx context.Context, after int64) (list []StoredCheckpoint, err error) {
	const sqlCheckpointsAfter = `SELECT ` + checkpointColumns + ` WHERE seq > $1 ORDER BY seq LIMIT $2`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlCheckpointsAfter, func(r row) error {
			list = append(list, scanCheckpoint(r))
			return nil
		}, after, entryPage)
	})
	return list, wrap("read checkpoints", err)
}
