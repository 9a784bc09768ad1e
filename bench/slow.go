package bench

import (
	"context"
	"errors"
	"os"
	"time"

	"saaf/store"
)

// fsyncBy is how much longer each commit takes where a slow disk is imitated.
const fsyncBy = 5 * time.Millisecond

// slowDisk finds what group commit is worth on a slow disk.
func (r *run) slowDisk(ctx context.Context) error {
	r.say("group commit on a disk whose commits take %v longer", fsyncBy)
	s := newSequence(r.registry, 3)
	each := max(2, int(r.singles())/singleClients/4)
	try := func(alone bool, each int) (store.Commits, error) {
		dir, err := os.MkdirTemp(r.dir, "slow-")
		if err != nil {
			return store.Commits{}, err
		}
		c, err := store.RawCommits(ctx, dir, fsyncBy, alone, singleClients, each, func(i int) store.NewLead { return s.stored(int64(i)) })
		return c, errors.Join(err, os.RemoveAll(dir))
	}
	// Alone, a lead takes 5 ms and more: a few of them show it.
	alone, err := try(true, max(2, each/20))
	if err != nil {
		return err
	}
	group, err := try(false, each)
	if err != nil {
		return err
	}
	rate := func(c store.Commits) float64 { return float64(len(c.Latencies)) / c.Took.Seconds() }
	const note = "in the store alone, without requests: the time is spent before each commit"
	r.add(row(9, "group_commit", "single leads, 64 callers, fsync + 5 ms: group commit", rate(group), "leads/s").of("embedded").
		beside(rate(alone)).must(atLeast, 20).noted("against a transaction for each; %s", note))
	r.add(row(9, "group_commit_p99", "p99 of these", percentile(group.Latencies, 99), "ms").of("embedded").
		beside(float64(fsyncBy)/1e6).must(atMost, 4).noted("against the 5 ms; alone %.3g ms", percentile(alone.Latencies, 99)))
	return nil
}
