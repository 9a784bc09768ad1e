package main

import (
	"context"
	"fmt"
	"io"

	"saaf"
	"saaf/dnd"
	"saaf/scrub"
	"saaf/store"
)

type registryDiffCmd struct {
	From    string `arg:"" help:"Snapshot to start from: its id, active, or previous (what a roll-back goes back to)."`
	To      string `arg:"" help:"Snapshot to compare with it, named likewise."`
	Numbers bool   `help:"Also list the numbers, all but their last four digits hidden."`
	Unmask  bool   `help:"With --numbers, show them whole. They are personal data: mind where the output goes."`
	Limit   int    `default:"1000" placeholder:"N" help:"List at most so many numbers; 0 lists all (${default})."`
	dataFlags
}

// registryDiff is what the diff command prints.
type registryDiff struct {
	From    diffSide     `json:"from"`
	To      diffSide     `json:"to"`
	Added   int64        `json:"added"`   // listed in To only
	Removed int64        `json:"removed"` // listed in From only
	Changed int64        `json:"changed"` // listed in both, with other categories
	Numbers []diffNumber `json:"numbers,omitempty"`
	Left    int64        `json:"numbers_left_out,omitempty"`
}

type diffSide struct {
	ID            saaf.SnapshotID `json:"id"`
	EffectiveDate saaf.Date       `json:"effective_date"`
	Numbers       int64           `json:"numbers"`
}

type diffNumber struct {
	Phone  string `json:"phone"`
	Change string `json:"change"` // added, removed or changed
	Before string `json:"before"`
	After  string `json:"after"`
}

func (c *registryDiffCmd) Run(ctx context.Context, con *console) error {
	switch {
	case c.Unmask && !c.Numbers:
		return &usageError{"--unmask is about the numbers: add --numbers"}
	case c.Limit < 0:
		return &usageError{"--limit must be 0 or more"}
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		from, a, err := c.open(ctx, st, c.From)
		if err != nil {
			return err
		}
		to, b, err := c.open(ctx, st, c.To)
		if err != nil {
			return err
		}
		v := registryDiff{From: from, To: to}
		if err := c.compare(ctx, &v, a, b); err != nil {
			return err
		}
		return con.result(v, func(w io.Writer) { printDiff(w, &v) })
	})
}

// open finds a snapshot by what somebody calls it.
func (c *registryDiffCmd) open(ctx context.Context, st *store.Store, name string) (side diffSide, opened *dnd.Snapshot, err error) {
	id, ok := saaf.ParseID[saaf.SnapshotID](name)
	switch {
	case ok:
	case name != "active" && name != "previous":
		return side, nil, &usageError{fmt.Sprintf("%q names no snapshot: use an id (snap_...), active or previous; saaf registry status lists those that are kept", name)}
	default:
		reg, err := st.Registry(ctx)
		if err != nil {
			return side, nil, err
		}
		if reg.Active == nil {
			return side, nil, fmt.Errorf("there is no active snapshot: import the registry first")
		}
		id = reg.Active.ID
		if name == "previous" {
			if id = reg.Active.ReplacedID; id == 0 {
				return side, nil, fmt.Errorf("the active snapshot is the first there was: there is none before it")
			}
		}
	}
	snap, err := st.Snapshot(ctx, id)
	if err != nil {
		return side, nil, err
	}
	opened, err = scrub.OpenSnapshot(ctx, st, c.registryDir(), id)
	return diffSide{snap.ID, snap.EffectiveDate, snap.Numbers}, opened, err
}

// compare counts the differences, and lists those that are asked for.
func (c *registryDiffCmd) compare(ctx context.Context, v *registryDiff, a, b *dnd.Snapshot) error {
	for d, err := range dnd.Diff(ctx, a, b) {
		if err != nil {
			return err
		}
		change := "changed"
		switch {
		case !d.Before.Listed:
			change = "added"
			v.Added++
		case !d.After.Listed:
			change = "removed"
			v.Removed++
		default:
			v.Changed++
		}
		switch {
		case !c.Numbers:
		case c.Limit > 0 && len(v.Numbers) == c.Limit:
			v.Left++
		default:
			phone := d.Phone.String()
			if c.Unmask {
				phone = d.Phone.National()
			}
			v.Numbers = append(v.Numbers, diffNumber{phone, change, entryWords(d.Before), entryWords(d.After)})
		}
	}
	return nil
}

// entryWords is what a snapshot holds about a number.
func entryWords(e dnd.Entry) string {
	switch {
	case !e.Listed:
		return "not listed"
	case e.Categories.Empty():
		return "fully blocked"
	}
	return "categories " + e.Categories.String()
}

func printDiff(w io.Writer, v *registryDiff) {
	for _, side := range []struct {
		word string
		diffSide
	}{{"from", v.From}, {"to", v.To}} {
		fmt.Fprintf(w, "%-5s %s, dated %s, %s numbers\n", side.word, side.ID, side.EffectiveDate, thousands(side.Numbers))
	}
	fmt.Fprintf(w, "%s added, %s removed, %s with other categories\n", thousands(v.Added), thousands(v.Removed), thousands(v.Changed))
	if len(v.Numbers) == 0 {
		return
	}
	rows := make([][]string, len(v.Numbers))
	for i, n := range v.Numbers {
		rows[i] = []string{n.Phone, n.Change, n.Before, n.After}
	}
	fmt.Fprintln(w)
	table(w, []string{"NUMBER", "CHANGE", "BEFORE", "AFTER"}, rows)
	if v.Left > 0 {
		fmt.Fprintf(w, "... and %s more: raise --limit, or --limit 0 for all\n", thousands(v.Left))
	}
}
