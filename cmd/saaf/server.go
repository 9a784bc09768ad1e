package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"saaf"
	"saaf/api"
	"saaf/auth"
	"saaf/dnd"
	"saaf/intake"
	"saaf/scrub"
	"saaf/scrubber"
	"saaf/store"
)

// serverConfig is what one server needs.
type serverConfig struct {
	DataDir        string
	Database       database
	Listen         string
	Policy         saaf.PhonePolicy
	Source         *scrubber.Source // nil for none
	RegistryMaxAge time.Duration
	MaxBody        int64
	Uniqueness     store.Uniqueness // of the embedded store
	PhoneMemory    int64            // bytes, of the embedded store; 0: its default
	Log            *slog.Logger

	// Program is started for imports that come over the API. With "" they are done
	// in this process, as where there is no program of ours to start.
	Program string
}

// server is one running server: the listener, the services and the goroutines
// they run in.
type server struct {
	cfg      serverConfig
	lock     *store.ServeLock
	store    *store.Store
	auth     *auth.Service
	scrub    *scrub.Service
	listener net.Listener
	http     *http.Server
	row      store.Server          // what other processes see of this one; owned by watch
	health   atomic.Pointer[error] // why the store is not fit for requests; nil inside when it is
	draining atomic.Bool

	cancel context.CancelCauseFunc // stops everything but the writer
	done   chan error              // receives the result once, when all has stopped
}

// How a server stops and how often it looks for changes that others made.
const (
	drainLimit = 30 * time.Second
	watchEvery = 250 * time.Millisecond
	beatEvery  = 2 * time.Second
	fetchBeat  = 500 * time.Millisecond // while snapshot files are fetched
)

var (
	errStarting = errors.New("starting")
	errDraining = errors.New("stopping")
	errStore    = errors.New("the store cannot be read or written")
)

// startServer opens the data directory, listens and serves until ctx ends or
// stop is called. When it returns, requests are answered.
func startServer(ctx context.Context, cfg serverConfig) (_ *server, err error) {
	registry, err := dnd.NewRegistry(dnd.Config{MaxAge: cfg.RegistryMaxAge})
	if err != nil {
		return nil, err
	}
	s := &server{cfg: cfg, done: make(chan error, 1)}
	s.health.Store(&errStarting)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.lock, err = store.LockServe(cfg.DataDir); err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("%w: choose another address with --listen", err)
	}
	open := store.Config{Dir: cfg.DataDir, URL: cfg.Database.url, Secrets: cfg.Database.secrets, WriteBack: true,
		Uniqueness: cfg.Uniqueness, PhoneMemory: cfg.PhoneMemory,
		ChangingOver: func(to store.Uniqueness, leads int64) {
			cfg.Log.Info("changing over how phones are kept once, in one transaction; the server listens when that is done", "to", string(to), "leads", leads)
		}}
	opened := saying(func() {
		cfg.Log.Info("waiting for the store to open; a database that does not answer is given up", "after", store.ConnectLimit(open))
	})
	s.store, err = store.Open(ctx, open)
	opened()
	if err != nil {
		return nil, err
	}
	s.auth = auth.NewService(s.store)
	s.scrub = scrub.NewService(scrub.Config{Store: s.store, Registry: registry, Source: cfg.Source, Log: cfg.Log,
		Dir: scrub.RegistryDir(cfg.DataDir), Uploads: scrub.UploadDir(cfg.DataDir), Importer: s.importer()})
	counted := newMetrics()
	counted.registry.MustRegister(&stateMetrics{server: s})
	handler := api.New(api.Config{
		Metrics: counted.handler(cfg.Log), Observe: counted.observe,
		Store: s.store, Auth: s.auth, Scrub: s.scrub, Log: cfg.Log, MaxBody: cfg.MaxBody, Ready: s.notReady, Warnings: s.warnings,
		Intake: intake.NewService(s.store, registry, cfg.Source, cfg.Policy),
	}).Handler()
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      90 * time.Second,
		IdleTimeout:       120 * time.Second,

		DisableGeneralOptionsHandler: true, // its answers would have no request id
		MaxHeaderBytes:               64 << 10,
		ErrorLog:                     slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s, s.start(ctx)
}

// start runs the goroutines. The writer outlives all others, so that what they
// still have to store is stored.
func (s *server) start(ctx context.Context) error {
	runCtx, cancel := context.WithCancelCause(ctx)
	s.cancel = cancel
	writerCtx, stopWriter := context.WithCancel(context.WithoutCancel(ctx))
	var writer, group errgroup.Group
	writer.Go(func() error {
		err := s.store.Run(writerCtx)
		cancel(err) // without a writer there is no server
		return err
	})
	if err := s.register(runCtx); err != nil {
		cancel(err)
		stopWriter()
		return errors.Join(err, writer.Wait())
	}
	run := func(f func(context.Context) error) {
		group.Go(func() error {
			err := f(runCtx)
			if err != nil {
				cancel(err)
			}
			return err
		})
	}
	run(s.auth.Run)
	run(s.scrub.Run)
	run(s.scrub.RunImports)
	run(s.purge)
	run(s.scrub.RunPreparing)
	run(s.store.RunWriteBack)
	run(s.finishErasures)
	run(s.watch)
	run(s.serve)
	// The last checkpoint covers what the others still wrote when they stopped.
	signCtx, stopSigning := context.WithCancel(writerCtx)
	var signing errgroup.Group
	signing.Go(func() error { return s.scrub.RunCheckpoints(signCtx) })
	s.health.Store(new(error))
	go func() {
		err := group.Wait()
		stopSigning()
		err = errors.Join(err, signing.Wait())
		removeCtx, cancelRemove := context.WithTimeout(writerCtx, 5*time.Second)
		defer cancelRemove()
		rerr := s.store.RemoveServer(removeCtx, s.row.ID)
		if saaf.ErrorCode(rerr) == saaf.Unavailable {
			rerr = nil // the writer has stopped and says why itself
		}
		stopWriter()
		s.done <- errors.Join(err, rerr, writer.Wait(), s.close())
	}()
	return nil
}

// serve answers requests until ctx ends, then lets those that are under way
// finish.
func (s *server) serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
	defer cancel()
	if err := s.http.Shutdown(drainCtx); err != nil {
		s.cfg.Log.Warn("requests were cut off while stopping", "error", err)
		return s.http.Close()
	}
	return nil
}

// stop begins to end the server; wait returns when it has ended.
func (s *server) stop() { s.cancel(context.Canceled) }

// wait returns when the server has ended, with the reason unless it was asked to.
func (s *server) wait() error {
	err := <-s.done
	s.cfg.Log.Info("stopped")
	return err
}

// close releases what is open. Nothing runs any more.
func (s *server) close() (err error) {
	if s.listener != nil {
		if cerr := s.listener.Close(); !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Release())
	}
	return err
}

func (s *server) url() string { return "http://" + s.listener.Addr().String() }

// notReady is why no requests should come, nil when they should.
func (s *server) notReady() error {
	if s.draining.Load() {
		return errDraining
	}
	return *s.health.Load()
}

// register loads the active snapshot and makes this server visible to commands.
func (s *server) register(ctx context.Context) error {
	serving, err := s.scrub.Load(ctx)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	s.row = store.Server{
		PID: os.Getpid(), Host: host, Address: s.listener.Addr().String(),
		Version: serving.Version, Snapshot: serving.Snapshot, Problem: serving.Problem,
	}
	s.row, err = s.store.RegisterServer(ctx, s.row)
	return err
}

// watch takes changes that other processes made to the store, and writes back
// what this server has taken and that it lives.
func (s *server) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	lastBeat := time.Now()
	var disk diskWatch
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		disk.look(s, time.Now())
		changed, err := s.take(ctx)
		changed = s.look(time.Since(lastBeat)) || changed
		sick := s.notReady() != nil
		if err == nil && (changed || sick || time.Since(lastBeat) >= beatEvery) {
			lastBeat = time.Now()
			err = s.store.Beat(ctx, s.row)
			if err == nil && sick {
				s.cfg.Log.Info("the store answers again")
				s.health.Store(new(error)) // only a write that went through proves it
			}
		}
		if err != nil && ctx.Err() == nil {
			if !sick {
				s.cfg.Log.Error("the store cannot be read or written", "error", err)
			}
			s.health.Store(&errStore)
		}
	}
}

// take brings memory up to date with the store. The version is read before
// anything is dropped or loaded, so that a change in between is seen next time.
func (s *server) take(ctx context.Context) (changed bool, err error) {
	version, err := s.store.Version(ctx)
	if err != nil || version == s.row.Version && s.row.Problem == "" {
		return false, err
	}
	s.auth.Forget()
	serving, err := s.scrub.Load(ctx)
	if err != nil {
		return false, err
	}
	changed = s.row.Version != version || s.row.Snapshot != serving.Snapshot || s.row.Problem != serving.Problem
	s.row.Version, s.row.Snapshot, s.row.Problem = version, serving.Snapshot, serving.Problem
	return changed, nil
}

// look notes which snapshots this server could answer from at once, and how far it is
// with others. It reports whether somebody may wait for the news.
func (s *server) look(sinceBeat time.Duration) (news bool) {
	prepared, fetched := s.scrub.Prepared(), s.scrub.Fetched()
	news = !slices.Equal(prepared, s.row.Prepared) || fetched != s.row.Fetched && sinceBeat >= fetchBeat
	s.row.Prepared, s.row.Fetched = prepared, fetched
	return news
}
