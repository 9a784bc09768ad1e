package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"saaf"
	"saaf/store"
)

type eraseCmd struct {
	Phone  string `arg:"" help:"Phone number in any spelling that a push takes."`
	Tenant string `required:"" placeholder:"ID" help:"Tenant whose data the number is erased from, ten_..."`
	Reason string `required:"" help:"Why, in a few words; it is part of the evidence, with numbers masked."`
	dataFlags
}

func (eraseCmd) Help() string {
	return `Deletes the leads that have the number from all campaigns of the tenant, and the number from its opt-out lists, which go
on blocking by a keyed hash. What is left of it in the files of the database is overwritten and cut off. The evidence stays:
it never held the number, and saaf audit export still finds it.

Copies that were made before, backups above all, are not reached.

    saaf erase 9876543210 --tenant ten_... --reason 'asked by letter of 2026-11-25'`
}

// eraseLimit is how long the command tries to cut the number out of the files.
const eraseLimit = 15 * time.Second

// erasureView is what the command prints.
type erasureView struct {
	ID           saaf.ErasureID `json:"id"`
	State        string         `json:"state"`        // running or completed
	Leads        int            `json:"leads"`        // that were deleted
	Suppressions int            `json:"suppressions"` // that go on blocking
}

func (c *eraseCmd) Run(ctx context.Context, con *console) error {
	tenant, phone, err := tenantAndPhone(c.Tenant, c.Phone)
	if err != nil {
		return err
	}
	reason, wrong := saaf.CheckReason("reason", c.Reason)
	if wrong != nil {
		return &usageError{"--reason: " + wrong.Msg}
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		e, err := st.Erase(ctx, tenant, saaf.Live, phone, saaf.By{Actor: actor()}, reason)
		if err != nil {
			return err
		}
		done, err := scrubFiles(ctx, st, eraseLimit)
		view := erasureView{ID: e.ID, State: "running", Leads: e.Leads, Suppressions: e.Suppressions}
		if done {
			view.State = "completed"
		}
		return errors.Join(con.result(view, func(w io.Writer) {
			fmt.Fprintf(w, "%s: deleted %s with the number %s.\n", e.ID, counted(e.Leads, "lead", "leads"), phone)
			fmt.Fprintf(w, "%s on blocking the number by its hash. The evidence stays.\n", counted(e.Suppressions, "opt-out goes", "opt-outs go"))
		}), unfinished(done, err))
	})
}

// unfinished is the error when the files still hold what was erased.
func unfinished(done bool, err error) error {
	switch {
	case done:
		return err
	case err != nil:
		return fmt.Errorf("the number is erased, but the files of the database still hold it: a server that runs on this data directory finishes it, "+
			"else mend what is wrong and run the command again (%w)", err)
	}
	return errors.New("the number is erased, but the log of the database still holds it, because somebody reads there: " +
		"a server that runs on this data directory finishes it, else run the command again")
}

// scrubFiles tries to remove what is left of erased persons in the files of the
// store until it succeeds or the time is over.
func scrubFiles(ctx context.Context, st *store.Store, limit time.Duration) (done bool, err error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	const again = 100 * time.Millisecond
	for {
		left, err := st.ScrubErased(limited)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == nil && !left:
			return true, nil
		case limited.Err() != nil:
			return false, nil
		case err != nil && saaf.ErrorCode(err) != saaf.Unavailable:
			return false, err
		}
		select {
		case <-time.After(again):
		case <-limited.Done():
		}
	}
}

// finishErasures removes what is left of erased numbers in the files of the store.
func (s *server) finishErasures(ctx context.Context) error {
	return s.store.RunErasures(ctx, func(err error) {
		s.cfg.Log.Error("erased numbers are still in the files of the store, will be tried again", "error", err)
	})
}

// purge removes the leads of deleted campaigns.
func (s *server) purge(ctx context.Context) error {
	return s.store.RunPurge(ctx, func(err error) {
		s.cfg.Log.Error("leads of deleted campaigns are still there, will be tried again", "error", err)
	})
}

// tenantAndPhone reads what several commands are about. Fixed lines count, whatever
// a deployment accepts: they may have been accepted once.
func tenantAndPhone(id, number string) (saaf.TenantID, saaf.Phone, error) {
	tenant, ok := saaf.ParseID[saaf.TenantID](id)
	if !ok {
		return 0, 0, &usageError{fmt.Sprintf("--tenant %q is not a tenant id (ten_...); saaf tenant list shows those there are", id)}
	}
	phone, reason := saaf.PhonePolicy{FixedLines: true}.Parse(number)
	if reason != saaf.ReasonNone {
		return 0, 0, &usageError{fmt.Sprintf("this is not an Indian phone number (%s): write it like 9876543210 or +919876543210", reason)}
	}
	return tenant, phone, nil
}

// counted writes a number before what it counts.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}
