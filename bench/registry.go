package bench

import (
	"context"
	"fmt"
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

// uniformFrom is from how many numbers on the registry spreads over the whole
// mobile space. Fewer fill blocks, as the registry of fewer people would.
const uniformFrom = 250_000_000

// RegistryConfig says how large the registry is that is measured.
type RegistryConfig struct {
	Numbers int64 // in the registry, from [LeastNumbers] on
	Delta   int64 // rows of a delta, 1 to half of Numbers
	Seconds int   // how long requests are measured before the import begins, and after it; 1 or more
}

// LeastNumbers is below which nothing that is measured means anything.
const LeastNumbers = 1_000_000

// registry is one run. Two registries have the same numbers: plain blocks all
// of them fully, listed has categories for every one.
type registry struct {
	RegistryConfig
	*Host
	dir    string // everything is in here
	data   place
	plain  *dnd.Synthetic
	listed *dnd.Synthetic
	deltas [2]*dnd.SyntheticDelta // to plain, and to listed
	heads  []saaf.Phone           // 4-digit heads in use
	today  saaf.Date
	list   []Measure
}

// MeasureRegistry measures everything about the registry, and checks what it answers.
// That a measure is not within its limit is no error, see [Missed].
func MeasureRegistry(ctx context.Context, h *Host, c RegistryConfig) (list []Measure, err error) {
	h.begin()
	b, err := newRegistry(h, c)
	if err != nil {
		return nil, err
	}
	if err := h.room(b.need()); err != nil {
		return nil, err
	}
	err = h.inDir(func(dir string) error {
		b.in(dir)
		return b.run(ctx)
	})
	return b.list, interrupted(ctx, err)
}

// in names the directory to work in.
func (b *registry) in(dir string) {
	b.dir, b.data = dir, place{dir: filepath.Join(dir, "data")}
}

func newRegistry(h *Host, c RegistryConfig) (*registry, error) {
	b := &registry{RegistryConfig: c, Host: h, today: saaf.DateOf(time.Now())}
	config := synthetic(c.Numbers)
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
		if b.deltas[i], err = s.Delta(dnd.SyntheticDeltaConfig{Rows: c.Delta, Removed: removed}); err != nil {
			return nil, err
		}
	}
	b.heads = headsOf(b.plain)
	return b, nil
}

// synthetic is the made-up registry of so many numbers.
func synthetic(numbers int64) dnd.SyntheticConfig {
	return dnd.SyntheticConfig{Numbers: numbers, Seed: 1, Uniform: numbers >= uniformFrom}
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

func (b *registry) add(m Measure) { b.list = append(b.list, m) }

// run is the whole measurement, in the order in which files are needed.
func (b *registry) run(ctx context.Context) error {
	if err := b.measureImport(ctx); err != nil {
		return err
	}
	if err := b.drop("plain.csv"); err != nil {
		return err
	}
	return b.runImported(ctx)
}

// runImported is the rest of run: the full set is imported.
func (b *registry) runImported(ctx context.Context) error {
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

func (b *registry) path(name string) string { return filepath.Join(b.dir, name) }

// generate writes registry files.
func (b *registry) generate(ctx context.Context, name string, s *dnd.Synthetic, d *dnd.SyntheticDelta) (int64, error) {
	took := time.Now()
	r, err := (&dnd.Generate{Path: b.path(name), Registry: s, Delta: d}).Run(ctx)
	if err != nil {
		return 0, err
	}
	b.say("wrote %s: %s rows, %s bytes, in %.1f s", name, thousands(r.Rows), thousands(r.Bytes), time.Since(took).Seconds())
	return r.Bytes, nil
}

// importFile has a process import a file, and returns how long that took and what
// memory of its own it had at most, in bytes.
func (b *registry) importFile(ctx context.Context, name, mode string) (seconds float64, anonymous int64, err error) {
	start := time.Now()
	anonymous, err = b.command(ctx, b.data, "registry", "import", b.path(name), mode, "--effective-date", b.today.String())
	return time.Since(start).Seconds(), anonymous, err
}

func (b *registry) measureImport(ctx context.Context) error {
	bytes, err := b.generate(ctx, "plain.csv", b.plain, nil)
	if err != nil {
		return err
	}
	b.say("importing it")
	seconds, anonymous, err := b.importFile(ctx, "plain.csv", "--full")
	if err != nil {
		return err
	}
	b.say("reading and splitting it")
	var lines int64
	split, err := timed(func() (err error) { lines, err = splitFile(ctx, b.path("plain.csv")); return err })
	if err != nil {
		return err
	}
	b.add(against("import", fmt.Sprintf("import of %s rows, %s bytes", thousands(lines-1), thousands(bytes)), seconds, split, "s", 3).
		noted("against reading the file and splitting it into lines and fields, one thread"))
	b.add(within("import_memory", "anonymous memory of the import, at most", megabytes(anonymous), "MB", 50))
	return b.addFileSize(ctx, "file", "snapshot file, bytes per number", 1.7, 0)
}

// drop removes a file that is no longer needed.
func (b *registry) drop(name string) error {
	if b.Keep {
		return nil
	}
	return os.Remove(b.path(name))
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// active is the active snapshot.
func (b *registry) active(ctx context.Context) (snap saaf.Snapshot, opened *dnd.Snapshot, err error) {
	err = b.data.inStore(ctx, func(ctx context.Context, st *store.Store) error {
		reg, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		snap = *reg.Active
		opened, err = scrub.OpenSnapshot(ctx, st, b.data.registry(), snap.ID)
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
func (b *registry) addFileSize(ctx context.Context, name, what string, most, beyond float64) error {
	snap, _, err := b.active(ctx)
	if err != nil {
		return err
	}
	perNumber := float64(snap.FileBytes) / float64(snap.Numbers)
	m := within(name, what, perNumber, "B", most)
	if bits := (1.02*float64(len(b.heads))*headBytes+fileOverhead)/float64(snap.Numbers) + beyond; bits > most {
		m = within(name, what, perNumber, "B", bits).
			noted("%s B is for 300M numbers; %s heads with %s numbers need this", Figure(most), thousands(int64(len(b.heads))), thousands(snap.Numbers))
	}
	b.add(m)
	return nil
}

// measureDelta times a delta where no server runs.
func (b *registry) measureDelta(ctx context.Context) error {
	if _, err := b.generate(ctx, "plain_delta.csv", b.plain, b.deltas[0]); err != nil {
		return err
	}
	seconds, _, err := b.importFile(ctx, "plain_delta.csv", "--delta")
	if err != nil {
		return err
	}
	b.add(within("delta", fmt.Sprintf("delta of %s rows", thousands(b.Delta)), seconds, "s", 0.5).noted("the whole command"))
	return nil
}
