package store

import (
	"context"
	"errors"
	"strings"
	"testing"

	"saaf"
	"saaf/internal/pgtest"
)

// A store that was moved is not used where it was: not by who opens it, nor by who had
// it open.
func TestMovedStoreIsLeft(t *testing.T) {
	t.Parallel()
	b := setup(t) // and stays open
	b.add(b.campaign, leads(0, 10)...)
	before := b.number(`SELECT count(*) FROM ledger`)
	cfg := b.moveTo(pgtest.Empty(t), 0)
	cfg.Verify = func(context.Context, *Store) error { return errors.New("cut short") }
	if _, err := Move(t.Context(), cfg); err == nil {
		t.Fatal("it was not cut short")
	}
	half, err := Open(t.Context(), Config{Dir: b.dir}) // it was not moved
	b.must(err)
	b.must(half.Close())
	cfg.Verify = nil
	_, err = Move(t.Context(), cfg)
	b.must(err)

	leftBy := func(err error) {
		t.Helper()
		moved, ok := errors.AsType[*MovedError](err)
		if !ok || moved.Dir != b.dir || !strings.Contains(moved.To, " on 127.0.0.1") || strings.Contains(moved.To, "saaf@") || moved.At.IsZero() ||
			!strings.Contains(err.Error(), "--database-url") || !strings.Contains(err.Error(), "saaf migrate --from "+b.dir+" --reopen") {
			t.Errorf("the error is %v", err)
		}
	}
	_, err = Open(t.Context(), Config{Dir: b.dir})
	leftBy(err)
	refused := func(s *Store) {
		t.Helper()
		err := s.AddLeads(t.Context(), b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(20, 21)})
		if !errors.Is(err, errMovedMeanwhile) || saaf.ErrorCode(err) != saaf.Unavailable {
			t.Errorf("a write ended with %v", err)
		}
		if _, err := s.Checkpoint(t.Context()); !errors.Is(err, errMovedMeanwhile) {
			t.Errorf("a checkpoint ended with %v", err)
		}
	}
	refused(b.Store)
	refused(open(t, Config{Dir: b.dir, Moved: true}).Store)
	if n := b.number(`SELECT count(*) FROM ledger`); n != before || n == 0 {
		t.Errorf("the ledger has %d entries, before %d", n, before)
	}

	// It is known to be where it is, and goes nowhere else.
	if _, err := Move(t.Context(), cfg); !errors.Is(err, ErrMoved) {
		t.Errorf("once more: %v", err)
	}
	_, err = Move(t.Context(), b.moveTo(pgtest.Empty(t), 0))
	leftBy(err)

	// Who goes back does so on purpose, and then there are two.
	b.must(Reopen(t.Context(), Config{Dir: b.dir}))
	b.add(b.campaign, leads(20, 21)...)
	if err := Reopen(t.Context(), Config{Dir: b.dir}); !errors.Is(err, ErrNotMoved) {
		t.Errorf("reopened twice: %v", err)
	}
	if _, err := Move(t.Context(), cfg); !errors.Is(err, errTwice) {
		t.Errorf("moved to where it is not any more: %v", err)
	}
	_, err = Move(t.Context(), b.moveTo(pgtest.Empty(t), 0))
	b.must(err)
	_, err = Open(t.Context(), Config{Dir: b.dir})
	leftBy(err)
}

// A move that ends between its mark here and the release there leaves no store that
// can be used, and goes on.
func TestMoveCutShortAtTheRelease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(b.campaign, leads(0, 10)...)
	b.stop()
	cfg := b.moveTo(pgtest.Empty(t), 0)
	do := func(sql string) {
		t.Helper()
		_, err := pgtest.Exec(t.Context(), cfg.To.URL, sql)
		b.must(err)
	}
	cfg.Verify = func(context.Context, *Store) error {
		do(`CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'cut short'; END $$`)
		do(`CREATE TRIGGER stay BEFORE UPDATE ON deployment FOR EACH ROW WHEN (NEW.moving IS NULL) EXECUTE FUNCTION stay()`)
		return nil
	}
	if _, err := Move(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Fatalf("it ended with %v", err)
	}
	if _, err := Open(t.Context(), Config{Dir: b.dir}); err == nil {
		t.Error("the source is in use")
	}
	there := cfg.To
	there.Secrets = b.dir
	if _, err := Open(t.Context(), there); !errors.Is(err, errHalfMoved) {
		t.Errorf("the database opens: %v", err)
	}
	do(`DROP TRIGGER stay ON deployment`)
	cfg.Verify = nil
	report, err := Move(t.Context(), cfg)
	if err != nil || !report.Resumed {
		t.Errorf("%+v, %v", report, err)
	}
	st, err := Open(t.Context(), there)
	b.must(err)
	b.must(st.Close())
}
