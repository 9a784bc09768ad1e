package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// link is the transaction of a writer with its database.
type link interface {
	session
	begin(ctx context.Context, of scope) error
	// later queues a statement for the end of the transaction.
	later(sql string, args ...any) error
	// flush writes what is to be written at the end of the transaction.
	flush() error
	commit() error
	rollback() error
	// ready is called before leads are added to a campaign, errCold when they cannot be.
	ready(campaign saaf.CampaignID) error
	addLeads(t *tx, campaign saaf.CampaignID, leads []*NewLead) error
	moveLeads(t *tx, campaign saaf.CampaignID, moves []*move) error
	// forgetLead follows the deletion of a lead.
	forgetLead(campaign saaf.CampaignID, lead UnfinishedLead) error
	// forgetBlocks follows the removal of blocks.
	forgetBlocks(campaign saaf.CampaignID)
	failure(error) failure
}

// failure is what an error of the database means for the transaction it happened in.
type failure int

const (
	failed failure = iota // the statement was refused, and the rest is as it should be
	busy                  // somebody else holds what is needed
	full                  // there is no room
	undone                // the database gave the transaction up: the same may go through next time
	unsure                // of a commit: whether it happened is not known
	broken                // what is on the disk can no longer be trusted
)

// writer puts jobs into transactions, one after the other.
type writer struct {
	store *Store
	link  link

	index suppressionIndex
	named map[saaf.SnapshotID]*saaf.EntrySnapshot
	chain chain // where this writer alone adds to it
	slot  int64
}

// write runs fn in a transaction of a writer and returns when it is committed,
// or not. rows is how many leads it brings. The answer is final: a caller that
// went away while its job waited is skipped, one whose job runs gets it done. An
// error means that nothing of the job was stored, with one exception: errUnknown.
func (s *Store) write(ctx context.Context, of scope, rows int, fn func(*tx) error) error {
	return s.do(&job{ctx: ctx, of: of, rows: rows, run: fn})
}

func (s *Store) do(j *job) error {
	j.done = make(chan error, 1)
	if err := s.queue.push(j); err != nil {
		return err
	}
	return s.queue.wait(j)
}

// Run writes what waits until ctx ends and the queue is empty. An error means that
// the disk can no longer be trusted: the process must end and open the store anew.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.queue.stopped)
	stop := context.AfterFunc(ctx, s.queue.end)
	defer stop()
	return wrap("store", s.engine.run(context.WithoutCancel(ctx)))
}

// retries is how often a transaction is tried again that the database gave up, and
// for how long when it cannot be reached.
const (
	retryFor   = 5 * time.Second
	firstPause = 10 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// commit puts a group in one transaction. When one job of it fails after it has
// written, all are undone and each is tried alone, so that nobody pays for
// another's failure.
func (w *writer) commit(ctx context.Context, group []*job) error {
	// Since they were queued: those behind would otherwise wait for the patience of all
	// before them.
	pause, until := firstPause, group[0].since.Add(w.store.cfg.retryFor)
	for {
		errs, end, fatal := w.attempt(ctx, group)
		switch end {
		case failed:
			if len(group) == 1 {
				break
			}
			for i := range group {
				if err := w.commit(ctx, group[i:i+1]); err != nil {
					return err // the others are told when Run ends
				}
			}
			return nil
		case unsure, undone:
			if end == unsure {
				group = answerDoubtful(group)
			}
			if len(group) == 0 {
				return nil
			}
			if time.Now().Before(until) {
				time.Sleep(pause)
				pause = min(2*pause, lastPause)
				continue
			}
			errs = make([]error, len(group))
			for i := range errs {
				errs[i] = errDisk
			}
		}
		for i, j := range group {
			if j.doubt && errs[i] != nil {
				errs[i] = errUnknown
			}
			w.store.fullness.note(errs[i])
			if sqlite.ErrCode(errs[i]).ToPrimary() == sqlite.ResultReadOnly {
				errs[i] = explainedDisk(w.store.cfg.Dir, errs[i])
			}
			j.done <- errs[i]
		}
		return fatal
	}
}

// answerDoubtful answers the jobs of a transaction of which it is not known whether
// it was committed, and returns those that can be done again: leads know their ids,
// and so find out whether they are there.
func answerDoubtful(group []*job) (rest []*job) {
	for _, j := range group {
		if j.adds != nil {
			j.doubt = true
			rest = append(rest, j)
		} else {
			j.done <- errUnknown
		}
	}
	return rest
}

// attempt runs a group in one transaction and returns each job's error. end is how it
// ended: failed means that everything was rolled back because a job failed half-way,
// undone and unsure that it may be tried again, anything else that errs are final.
// After a fatal error the disk can no longer be trusted.
func (w *writer) attempt(ctx context.Context, group []*job) (errs []error, end failure, fatal error) {
	errs = make([]error, len(group))
	all := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	const final = busy // any that is not for trying again
	if err := w.link.begin(ctx, group[0].of); err != nil {
		switch w.link.failure(err) {
		case broken:
			return all(errDisk), final, err
		case busy:
			return all(errBusy), final, nil
		case full:
			return all(errFull), final, nil
		case undone, unsure:
			return nil, undone, nil
		}
		return all(err), final, nil
	}
	t := w.begin()
	err := t.runAll(group, errs)
	if err == nil {
		err = t.flush()
	}
	if err != nil {
		w.forget(t)
		kind := w.link.failure(err)
		rerr := w.link.rollback()
		switch {
		case rerr != nil || kind == broken:
			return all(errDisk), final, errors.Join(err, rerr)
		case kind == full:
			return all(errFull), failed, nil
		case kind == busy:
			return all(errBusy), failed, nil
		case kind == undone || kind == unsure:
			return nil, undone, nil
		}
		return all(err), failed, nil
	}
	if err = w.link.commit(); err == nil {
		w.committed(t)
		return errs, final, nil
	}
	w.forget(t)
	kind := w.link.failure(err)
	rerr := w.link.rollback()
	switch {
	case kind == failed && t.shared: // a statement that was sent together with the COMMIT
		return all(err), failed, nil
	case kind == full && rerr == nil:
		return all(errFull), final, nil
	case kind == undone:
		return nil, undone, nil
	case kind == unsure:
		if t.entered > 0 {
			w.chain = t.chain.leave()
		}
		return nil, unsure, nil
	}
	return all(errUnknown), final, fmt.Errorf("commit: %w", errors.Join(err, rerr))
}
