package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrub"
	"saaf/store"
)

type benchRegistryCmd struct {
	Numbers count  `default:"100M" placeholder:"N" help:"Numbers in the registry, 1M or more (${default})."`
	Delta   count  `default:"100k" placeholder:"ROWS" help:"Rows of a delta (${default})."`
	Seconds int    `default:"20" placeholder:"S" help:"How long requests are measured before the import begins, and after it (${default})."`
	Dir     string `placeholder:"DIR" help:"Directory to work in; it needs room (the one for temporary files)."`
	Keep    bool   `help:"Leave the files there."`
}

// leastNumbers is below which nothing that is measured means anything.
const leastNumbers = 1_000_000

// uniformFrom is from how many numbers on the registry spreads over the whole
// mobile space. Fewer fill blocks, as the registry of fewer people would.
const uniformFrom = 250_000_000

// registryBench is one run. Two registries have the same numbers: plain blocks all
// of them fully, listed has categories for every one.
type registryBench struct {
	*benchRegistryCmd
	dir    string // everything is in here
	data   dataFlags
	steps  *steps
	plain  *dnd.Synthetic
	listed *dnd.Synthetic
	deltas [2]*dnd.SyntheticDelta // to plain, and to listed
	heads  []saaf.Phone           // 4-digit heads in use
	today  saaf.Date
	child  children
	list   []measure
}

func (c *benchRegistryCmd) Run(ctx context.Context, con *console) (err error) {
	switch {
	case c.Numbers < leastNumbers:
		return &usageError{"--numbers must be 1M or more"}
	case c.Delta < 1 || c.Delta > c.Numbers/2:
		return &usageError{"--delta must be 1 to half of --numbers"}
	case c.Seconds < 1:
		return &usageError{"--seconds must be 1 or more"}
	}
	b, err := newRegistryBench(c, con)
	if err != nil {
		return err
	}
	if err := b.room(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(c.Dir, "saaf-bench-"); err != nil {
		return err
	}
	b.data.DataDir = filepath.Join(b.dir, "data")
	defer func() {
		if c.Keep {
			b.steps.say("the files are in %s", b.dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(b.dir))
	}()
	if err := b.run(ctx); err != nil {
		return interrupted(ctx, err)
	}
	v := struct {
		Numbers count     `json:"numbers"`
		Delta   count     `json:"delta"`
		OK      bool      `json:"ok"`
		List    []measure `json:"measures"`
	}{c.Numbers, c.Delta, missed(b.list) == nil, b.list}
	if err := con.result(v, func(w io.Writer) { printMeasures(w, b.list) }); err != nil {
		return err
	}
	return missed(b.list)
}

func newRegistryBench(c *benchRegistryCmd, con *console) (*registryBench, error) {
	b := &registryBench{benchRegistryCmd: c, steps: newSteps(con.err), today: saaf.DateOf(time.Now())}
	config := dnd.SyntheticConfig{Numbers: int64(c.Numbers), Seed: 1, Uniform: c.Numbers >= uniformFrom}
	var err error
	if b.plain, err = dnd.NewSynthetic(config); err != nil {
		return nil, err
	}
	config.Preferences = 1
	if b.listed, err = dnd.NewSynthetic(config); err != nil {
		return nil, err
	}
	for i, s := range []*dnd.Synthetic{b.plain, b.listed} {
		// An import refuses a delta that removes over a hundredth of the numbers.
		removed := min(0.05, 0.005*float64(c.Numbers)/float64(c.Delta))
		if b.deltas[i], err = s.Delta(dnd.SyntheticDeltaConfig{Rows: int64(c.Delta), Removed: removed}); err != nil {
			return nil, err
		}
	}
	b.heads = headsOf(b.plain)
	b.child.program, err = thisProgram()
	return b, err
}

// headsOf lists the 4-digit heads that numbers of the registry have, from a sample
// that is large enough to meet each.
func headsOf(s *dnd.Synthetic) []saaf.Phone {
	random := rand.New(rand.NewPCG(1, 2))
	heads := make(map[saaf.Phone]bool)
	for range 2_000_000 {
		heads[s.Number(random.Int64N(s.Numbers))/headSpan] = true
	}
	return slices.Sorted(maps.Keys(heads))
}

func (b *registryBench) add(m measure) { b.list = append(b.list, m) }

// run is the whole measurement, in the order in which files are needed.
func (b *registryBench) run(ctx context.Context) error {
	if err := b.measureImport(ctx); err != nil {
		return err
	}
	if err := b.measureLookups(ctx); err != nil {
		return err
	}
	if err := b.measureDelta(ctx); err != nil {
		return err
	}
	if err := b.measureRequests(ctx); err != nil {
		return err
	}
	return b.verify(ctx)
}

func (b *registryBench) path(name string) string { return filepath.Join(b.dir, name) }

// generate writes registry files.
func (b *registryBench) generate(ctx context.Context, name string, s *dnd.Synthetic, d *dnd.SyntheticDelta) (int64, error) {
	took := time.Now()
	r, err := (&dnd.Generate{Path: b.path(name), Registry: s, Delta: d}).Run(ctx)
	if err != nil {
		return 0, err
	}
	b.steps.say("wrote %s: %s rows, %s bytes, in %.1f s", name, thousands(r.Rows), thousands(r.Bytes), time.Since(took).Seconds())
	return r.Bytes, nil
}

// importFile has a process import a file, and returns how long that took and what
// memory of its own it had at most, in bytes.
func (b *registryBench) importFile(ctx context.Context, name, mode string) (seconds float64, anonymous int64, err error) {
	start := time.Now()
	anonymous, err = b.child.run(ctx, "registry", "import", b.path(name), mode, "--effective-date", b.today.String(), "--data-dir", b.data.DataDir)
	return time.Since(start).Seconds(), anonymous, err
}

func (b *registryBench) measureImport(ctx context.Context) error {
	bytes, err := b.generate(ctx, "plain.csv", b.plain, nil)
	if err != nil {
		return err
	}
	b.steps.say("importing it")
	seconds, anonymous, err := b.importFile(ctx, "plain.csv", "--full")
	if err != nil {
		return err
	}
	b.steps.say("reading and splitting it")
	var lines int64
	split, err := timed(func() (err error) { lines, err = splitFile(ctx, b.path("plain.csv")); return err })
	if err != nil {
		return err
	}
	b.add(against("import", fmt.Sprintf("import of %s rows, %s bytes", thousands(lines-1), thousands(bytes)), seconds, split, "s", 3).
		noted("against reading the file and splitting it into lines and fields, one thread"))
	b.add(within("import_memory", "anonymous memory of the import, at most", megabytes(anonymous), "MB", 50))
	if err := b.addFileSize(ctx, "file", "snapshot file, bytes per number", 1.7, 0); err != nil {
		return err
	}
	return b.drop("plain.csv")
}

// drop removes a file that is no longer needed.
func (b *registryBench) drop(name string) error {
	if b.Keep {
		return nil
	}
	return os.Remove(b.path(name))
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// active is the active snapshot.
func (b *registryBench) active(ctx context.Context) (snap saaf.Snapshot, opened *dnd.Snapshot, err error) {
	err = b.data.withStore(ctx, quiet, true, func(ctx context.Context, st *store.Store) error {
		reg, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		snap = *reg.Active
		opened, err = scrub.OpenSnapshot(ctx, st, b.data.registryDir(), snap.ID)
		return err
	})
	return snap, opened, err
}

const (
	headSpan     = 1_000_000
	headBytes    = headSpan / 8 // of the bits of one 4-digit head
	fileOverhead = 256_000      // header and directory of a file, with room to spare
)

// addFileSize holds the size of the active snapshot's file against the limit, which
// is that of 300 million numbers over the whole space. A smaller registry has fewer
// numbers for each head, and then the limit is one bit for each number that the
// heads in use could have, and a fiftieth, besides beyond bytes for each number.
func (b *registryBench) addFileSize(ctx context.Context, name, what string, most, beyond float64) error {
	snap, _, err := b.active(ctx)
	if err != nil {
		return err
	}
	perNumber := float64(snap.FileBytes) / float64(snap.Numbers)
	m := within(name, what, perNumber, "B", most)
	if bits := (1.02*float64(len(b.heads))*headBytes+fileOverhead)/float64(snap.Numbers) + beyond; bits > most {
		m = within(name, what, perNumber, "B", bits).
			noted("%s B is for 300M numbers; %s heads with %s numbers need this", figure(most), thousands(int64(len(b.heads))), thousands(snap.Numbers))
	}
	b.add(m)
	return nil
}

// measureDelta times a delta where no server runs.
func (b *registryBench) measureDelta(ctx context.Context) error {
	if _, err := b.generate(ctx, "plain_delta.csv", b.plain, b.deltas[0]); err != nil {
		return err
	}
	seconds, _, err := b.importFile(ctx, "plain_delta.csv", "--delta")
	if err != nil {
		return err
	}
	b.add(within("delta", fmt.Sprintf("delta of %s rows", thousands(int64(b.Delta))), seconds, "s", 0.5).noted("the whole command"))
	return nil
}
