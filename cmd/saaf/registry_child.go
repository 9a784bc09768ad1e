package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"saaf"
	"saaf/scrub"
	"saaf/store"
)

// registryRunImportCmd is how a server has an import done that came over its API:
// in a process of its own, so that neither the memory nor the time of a large
// import is taken from requests.
type registryRunImportCmd struct {
	ID    string `arg:"" help:"Import that waits, rimp_..."`
	Fence int64  `required:"" help:"Of the lease under which the server has it done."`
	dataFlags
}

func (c *registryRunImportCmd) Run(ctx context.Context, con *console) error {
	id, ok := saaf.ParseID[saaf.RegistryImportID](c.ID)
	if !ok {
		return &usageError{fmt.Sprintf("%q is not the id of an import (rimp_...)", c.ID)}
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		return scrub.RunImport(ctx, st, c.registryDir(), scrub.UploadDir(c.DataDir), importsLease(c.Fence), id, standBack)
	})
}

// importsLease is the lease that the server has which began this process.
func importsLease(fence int64) store.Lease {
	return store.Lease{Name: scrub.ImportsLease, Fence: fence}
}

// childImporter does imports in processes of their own.
type childImporter struct {
	program  string // what to start
	dataDir  string
	database database
	store    *store.Store
	log      *slog.Logger
	pause    time.Duration // before an import whose process died is tried again
}

const (
	// importTries is how often an import is begun whose process dies every time.
	importTries = 3
	importPause = 2 * time.Second
	// importGrace is how long an import has to clean up when the server stops.
	importGrace = 10 * time.Second
)

// run does one import. One whose process dies before it has recorded an end is
// tried again; when the server stops it waits for the next start.
func (c *childImporter) run(ctx context.Context, l store.Lease, id saaf.RegistryImportID) error {
	var died error
	for try := range importTries {
		if try > 0 {
			select {
			case <-time.After(c.pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		died = c.once(ctx, l, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		im, err := c.store.RegistryImport(ctx, id)
		if err != nil {
			return errors.Join(died, err)
		}
		if im.State != store.ImportQueued && im.State != store.ImportRunning {
			return died // when that is not nil, it came after the end
		}
		if died == nil {
			died = errors.New("it ended well and has done nothing")
		}
		c.log.WarnContext(ctx, "the process of an import died before the import was done", "import", id.String(), "try", try+1, "error", died)
	}
	problem := fmt.Sprintf("The process of this import died %d times before it was done (%v). The registry stays as it was. "+
		"Look into the log of the server, above all whether memory or disk ran out, and send the file again.", importTries, died)
	return errors.Join(fmt.Errorf("given up after %d tries: %w", importTries, died),
		scrub.GiveUpImport(ctx, c.store, scrub.UploadDir(c.dataDir), l, id, problem))
}

// once runs the process to its end.
func (c *childImporter) once(ctx context.Context, l store.Lease, id saaf.RegistryImportID) error {
	cmd := exec.CommandContext(ctx, c.program, "registry", "run-import", id.String(),
		"--fence", strconv.FormatInt(l.Fence, 10), "--data-dir", c.dataDir)
	cmd.Args[0] = os.Args[0]
	cmd.Env = c.database.environ(os.Environ())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = importGrace
	lines := &logLines{log: c.log, id: id}
	cmd.Stdout, cmd.Stderr = lines, lines
	dieWithParent(cmd)
	// The kernel takes the thread that starts a process for its parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	lines.flush()
	return err
}

// logLines writes what a process says to the log, line by line.
type logLines struct {
	log  *slog.Logger
	id   saaf.RegistryImportID
	rest []byte
}

// maxLogLine is from how many bytes on a line is logged before it has ended.
const maxLogLine = 4096

func (l *logLines) Write(b []byte) (int, error) {
	for _, c := range b {
		if c == '\n' || len(l.rest) == maxLogLine {
			l.flush()
		}
		if c != '\n' {
			l.rest = append(l.rest, c)
		}
	}
	return len(b), nil
}

// flush logs what has been written since the last line ended.
func (l *logLines) flush() {
	if len(l.rest) > 0 {
		l.log.Warn("the process of an import says", "import", l.id.String(), "line", string(l.rest))
	}
	l.rest = l.rest[:0]
}

// importer is how the server does imports that come over its API; nil for in this
// process.
func (s *server) importer() func(context.Context, store.Lease, saaf.RegistryImportID) error {
	if s.cfg.Program == "" {
		return nil
	}
	c := &childImporter{program: s.cfg.Program, dataDir: s.cfg.DataDir, database: s.cfg.Database, store: s.store,
		log: s.cfg.Log.With("component", "import"), pause: importPause}
	return c.run
}
