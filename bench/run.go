package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// Config says how large a run is.
type Config struct {
	Leads       int64  // that fill one campaign, [LeastLeads] or more
	Numbers     int64  // on the registry, [LeastNumbers] or more
	DatabaseURL string // of an empty PostgreSQL database; "" leaves that engine out
}

// LeastLeads is the fewest leads of a run.
const LeastLeads = 10_000

// How large parts of a run are at most.
const (
	bulkClients   = 8
	singleClients = 64
	rounds        = 3       // of each comparison; the median counts
	mostRound     = 200_000 // leads of a round
	mostSingles   = 20_000
)

// run is one run.
type run struct {
	Config
	*Host
	dir      string
	registry *dnd.Synthetic
	csv      string // the registry in text
	today    saaf.Date
	raws     int64 // bare loops so far
	report   Report
	rates    map[string]float64 // bulk in an empty store, by engine
}

// Validate refuses a run that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Leads < LeastLeads:
		return fmt.Errorf("fewer than %s leads measure nothing", thousands(LeastLeads))
	case c.Numbers < LeastNumbers:
		return fmt.Errorf("fewer than %s numbers measure nothing", thousands(LeastNumbers))
	case c.Leads > c.Numbers:
		return errors.New("there are more leads than numbers on the registry, of which every other lead is one")
	}
	return nil
}

// Run measures every target and checks what was stored. That something was stored wrong
// is no error but in the report.
func Run(ctx context.Context, h *Host, c Config) (Report, error) {
	h.begin()
	r := &run{Config: c, Host: h, today: saaf.DateOf(time.Now()), rates: make(map[string]float64)}
	r.report = Report{Leads: c.Leads, Numbers: c.Numbers, Rows: []Row{}, Problems: []string{}}
	delta := min(100_000, c.Numbers/50)
	reg, err := newRegistry(h, RegistryConfig{Numbers: c.Numbers, Delta: delta, Seconds: c.seconds()})
	if err != nil {
		return r.report, err
	}
	r.registry = reg.plain
	if err := h.room(reg.need() + 2*c.Leads*leadBytes); err != nil {
		return r.report, err
	}
	if c.DatabaseURL != "" {
		if err := unused(ctx, c.DatabaseURL); err != nil {
			return r.report, err
		}
	}
	err = h.inDir(func(dir string) error {
		r.dir = dir
		reg.in(filepath.Join(dir, "registry"))
		if err := os.Mkdir(reg.dir, 0o700); err != nil {
			return err
		}
		r.csv = reg.path("plain.csv")
		return r.all(ctx, reg)
	})
	r.report.Verified = err == nil && len(r.report.Problems) == 0
	return r.report, interrupted(ctx, err)
}

// seconds is how long requests are measured beside an import.
func (c Config) seconds() int { return int(min(10, 1+c.Leads/100_000)) }

// unused refuses a database in which there is a store.
func unused(ctx context.Context, url string) error {
	there, err := store.Exists(ctx, store.Config{URL: url})
	if err == nil && there {
		err = errors.New("there is a saaf store in the database: name an empty one, which is left as it is in the end")
	}
	return err
}

func (r *run) add(rows ...Row) { r.report.Rows = append(r.report.Rows, rows...) }

// all is the whole run, in the order in which files are needed.
func (r *run) all(ctx context.Context, reg *registry) error {
	if err := reg.measureImport(ctx); err != nil {
		return err
	}
	if err := r.engine(ctx, "embedded", place{dir: filepath.Join(r.dir, "embedded")}); err != nil {
		return err
	}
	if r.DatabaseURL != "" {
		if err := r.engine(ctx, "postgres", place{dir: filepath.Join(r.dir, "postgres"), url: r.DatabaseURL}); err != nil {
			return err
		}
		r.add(row(5, "bulk_engines", "bulk, embedded against postgres", r.rates["embedded"], "leads/s").
			beside(r.rates["postgres"]).must(atLeast, 2).noted("both with an empty store"))
	}
	if err := reg.drop("plain.csv"); err != nil {
		return err
	}
	if err := r.slowDisk(ctx); err != nil {
		return err
	}
	if err := r.inProcess(ctx, reg); err != nil {
		return err
	}
	if err := reg.runImported(ctx); err != nil {
		return err
	}
	if err := r.addRegistry(ctx, reg.list); err != nil {
		return err
	}
	r.sort()
	return nil
}
