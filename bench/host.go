package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"saaf"
	"saaf/auth"
	"saaf/scrub"
	"saaf/store"
)

// Host is the machine and the program that are measured.
type Host struct {
	// Program makes a process of the program with arguments, on a PostgreSQL database
	// or with an empty url on the embedded store. It has no settings of the environment
	// else, and ends with this process and with ctx.
	Program func(ctx context.Context, url string, args ...string) *exec.Cmd

	Dir  string    // directory to work in, default that for temporary files
	Keep bool      // leave the files there
	Log  io.Writer // takes a line for each step

	// Progress is called with how far a step is, often and by many goroutines; nil: not at
	// all.
	Progress func(step string, done, total int64)

	began time.Time
}

func (h *Host) begin() { h.began = time.Now() }

// say says what a long benchmark is at.
func (h *Host) say(format string, args ...any) {
	fmt.Fprintf(h.Log, "%7.1f s  %s\n", time.Since(h.began).Seconds(), fmt.Sprintf(format, args...))
}

// inDir runs f with a directory, which is removed afterwards.
func (h *Host) inDir(f func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(h.Dir, "saaf-bench-")
	if err != nil {
		return err
	}
	defer func() {
		if h.Keep {
			h.say("the files are in %s", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	return f(dir)
}

// place is where a store is.
type place struct {
	dir string // data directory
	url string // of a PostgreSQL database, "" for the embedded store
}

func (p place) registry() string { return scrub.RegistryDir(p.dir) }

// inStore runs fn with the store, its writer running, as a command does.
func (p place) inStore(ctx context.Context, fn func(context.Context, *store.Store) error) (err error) {
	// Any node but the server's.
	st, err := store.Open(ctx, store.Config{Dir: p.dir, URL: p.url, Node: 1 + rand.IntN(saaf.MaxNode), Readers: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- st.Run(running) }()
	err = fn(ctx, st)
	stop()
	return errors.Join(err, <-ended)
}

// keys makes a tenant and n keys with the highest rate limit.
func (p place) keys(ctx context.Context, n int) (tenant saaf.TenantID, secrets []string, err error) {
	err = p.inStore(ctx, func(ctx context.Context, st *store.Store) error {
		made, err := st.CreateTenant(ctx, "bench")
		if err != nil {
			return err
		}
		tenant = made.ID
		for range n {
			key, secret, err := auth.NewKey(auth.KeySpec{TenantID: tenant, Environment: saaf.Live, RateLimit: saaf.MaxRateLimit})
			if err != nil {
				return err
			}
			if _, err := st.CreateKey(ctx, key); err != nil {
				return err
			}
			secrets = append(secrets, string(secret))
		}
		return nil
	})
	if err != nil {
		return 0, nil, fmt.Errorf("make keys: %w", err)
	}
	return tenant, secrets, nil
}

// fileBytes is the size of the files of the embedded store.
func (p place) fileBytes() (sum int64, err error) {
	names, err := filepath.Glob(filepath.Join(p.dir, "saaf.db*"))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, err
}
