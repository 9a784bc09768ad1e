package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/internal/apptest"
	"saaf/scrub"
	"saaf/store"
)

// queueImport puts an uploaded full set of so many numbers into a data directory,
// as the API does, and returns the import.
func queueImport(t *testing.T, data dataFlags, numbers int64) store.RegistryImport {
	t.Helper()
	if err := os.MkdirAll(scrub.UploadDir(data.DataDir), 0o700); err != nil {
		t.Fatal(err)
	}
	const name = "full.csv.upload"
	registry, err := dnd.NewSynthetic(dnd.SyntheticConfig{Numbers: numbers})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "full.csv")
	report, err := (&dnd.Generate{Path: file, Registry: registry}).Run(t.Context())
	if err == nil {
		err = os.Rename(file, filepath.Join(scrub.UploadDir(data.DataDir), name))
	}
	if err != nil {
		t.Fatal(err)
	}
	var queued store.RegistryImport
	err = data.withStore(t.Context(), quiet, false, func(ctx context.Context, st *store.Store) (err error) {
		queued, err = st.QueueImport(ctx, store.RegistryImport{Mode: saaf.FullSet, EffectiveDate: saaf.DateOf(time.Now()), File: name,
			By: saaf.By{Actor: "key_1"}, ImportProgress: store.ImportProgress{BytesTotal: report.Bytes}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return queued
}

// importState reads how an import stands.
func importState(t *testing.T, data dataFlags, id saaf.RegistryImportID) (im store.RegistryImport) {
	t.Helper()
	err := data.withStore(t.Context(), quiet, true, func(ctx context.Context, st *store.Store) (err error) {
		im, err = st.RegistryImport(ctx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !yes(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to pass: %s", what)
		}
	}
}

// program writes a shell script that stands in for the program, and the file it
// leaves a line in for each start.
func program(t *testing.T, script string) (path, starts string) {
	t.Helper()
	path, starts = filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "starts")
	text := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s\n%s\n", starts, script)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, starts
}

func startsOf(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// A server does an import that waits in a process of its own, and answers from what
// it made.
func TestImportInItsOwnProcess(t *testing.T) {
	t.Parallel()
	data := dataFlags{DataDir: filepath.Join(t.TempDir(), "data")}
	queued := queueImport(t, data, 10_000)
	script, starts := program(t, `exec `+binary+` "$@"`)
	srv, err := startServer(context.WithoutCancel(t.Context()), serverConfig{
		DataDir: data.DataDir, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Program: script})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server answers from the import", func() bool { return srv.scrub.Status(time.Now()).State == "fresh" })
	srv.stop()
	if err := srv.wait(); err != nil {
		t.Fatal(err)
	}
	if im := importState(t, data, queued.ID); im.State != store.ImportCompleted || im.Rows != 10_000 {
		t.Errorf("the import is %s with %d rows (%s)", im.State, im.Rows, im.Problem)
	}
	if n := startsOf(t, starts); n != 1 {
		t.Errorf("%d processes were started, want 1", n)
	}
	left, err := os.ReadDir(scrub.UploadDir(data.DataDir))
	if err != nil || len(left) != 0 {
		t.Errorf("%d uploads are left (%v)", len(left), err)
	}
}

// An import whose process dies is tried three times and then failed, with a
// sentence.
func TestImportProcessDies(t *testing.T) {
	t.Parallel()
	data := dataFlags{DataDir: filepath.Join(t.TempDir(), "data")}
	queued := queueImport(t, data, 10)
	script, starts := program(t, `printf 'no memory\nnone at all' >&2; kill -9 $$`)
	var log bytes.Buffer
	var im store.RegistryImport
	err := data.withStore(t.Context(), quiet, true, func(ctx context.Context, st *store.Store) error {
		c := &childImporter{program: script, dataDir: data.DataDir, store: st, log: slog.New(slog.NewTextHandler(&log, nil))}
		if err := c.run(ctx, store.Lease{}, queued.ID); err == nil || !strings.Contains(err.Error(), "given up after 3 tries: signal: killed") {
			t.Errorf("run: %v", err)
		}
		var err error
		im, err = st.RegistryImport(ctx, queued.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if im.State != store.ImportFailed || !strings.Contains(im.Problem, "died 3 times") || !strings.Contains(im.Problem, "send the file again") {
		t.Errorf("the import is %s: %s", im.State, im.Problem)
	}
	if n := startsOf(t, starts); n != 3 {
		t.Errorf("%d tries, want 3", n)
	}
	if !strings.Contains(log.String(), `line="no memory"`) || !strings.Contains(log.String(), `line="none at all"`) {
		t.Errorf("the log does not have what the process said:\n%s", log.String())
	}
	if _, err := os.Stat(filepath.Join(scrub.UploadDir(data.DataDir), queued.File)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the upload is still there (%v)", err)
	}
}

// When the server stops, so does the import, which waits for the next start.
func TestImportStopsWithServer(t *testing.T) {
	t.Parallel()
	data := dataFlags{DataDir: filepath.Join(t.TempDir(), "data")}
	queued := queueImport(t, data, 10)
	script, starts := program(t, `exec sleep 300`)
	err := data.withStore(t.Context(), quiet, true, func(ctx context.Context, st *store.Store) error {
		ctx, stop := context.WithCancel(ctx)
		c := &childImporter{program: script, dataDir: data.DataDir, store: st, log: slog.New(slog.DiscardHandler)}
		ended := make(chan error, 1)
		go func() { ended <- c.run(ctx, store.Lease{}, queued.ID) }()
		eventually(t, "the process starts", func() bool { return startsOf(t, starts) == 1 })
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if im := importState(t, data, queued.ID); im.State != store.ImportQueued {
		t.Errorf("the import is %s: %s", im.State, im.Problem)
	}
}

// A server that is killed takes the process of an import with it; the next one does
// the import again.
func TestImportDiesWithServer(t *testing.T) {
	t.Parallel()
	data := dataFlags{DataDir: filepath.Join(t.TempDir(), "data")}
	queued := queueImport(t, data, 3_000_000)
	srv, err := apptest.Start(binary, data.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	var child string
	eventually(t, "the process of the import starts", func() bool { child = processWith(t, queued.ID.String()); return child != "" })
	eventually(t, "the threads that work let others go first", func() bool { return niceOf(t, child) == background })
	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process of the import ends", func() bool { return processWith(t, queued.ID.String()) == "" })
	if im := importState(t, data, queued.ID); im.State != store.ImportQueued && im.State != store.ImportRunning {
		t.Fatalf("the import went on without its server: %s", im.State)
	}
	if srv, err = apptest.Start(binary, data.DataDir); err != nil {
		t.Fatal(err)
	}
	defer func() { srv.Kill() }()
	eventually(t, "the import is done", func() bool { return importState(t, data, queued.ID).State == store.ImportCompleted })
}

// processWith is the directory below /proc of a living process that has word among
// its arguments, "" for none.
func processWith(t *testing.T, word string) string {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		args, err := os.ReadFile(name) // empty for one that has ended and was not waited for
		if err == nil && bytes.Contains(args, []byte("\x00"+word+"\x00")) {
			return filepath.Dir(name)
		}
	}
	return ""
}

// niceOf is the highest nice value of a thread of the process.
func niceOf(t *testing.T, process string) int {
	t.Helper()
	threads, err := filepath.Glob(process + "/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	highest := -20
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// The second field is the name, in parentheses; nice is the 19th.
		_, rest, _ := strings.Cut(string(stat), ") ")
		nice, err := strconv.Atoi(strings.Fields(rest)[16])
		if err != nil {
			t.Fatal(err)
		}
		highest = max(highest, nice)
	}
	return highest
}
