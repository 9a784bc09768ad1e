package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"saaf/client"
	"saaf/internal/apptest"
)

// room is where a data directory lies, and can be made to run out.
type room struct {
	dir   string
	fill  func(left int64) error // of bytes that can still be written
	clear func() error
	ends  bool // a write that does not fit is an input/output error, which ends the server
}

// smallDisk is a file system of its own in memory. It needs the right to mount; ok is false
// without.
func smallDisk(t *testing.T) (r *room, ok bool) {
	t.Helper()
	dir := t.TempDir()
	// Each fill leaves as many leads as its log has room for, some tens of megabytes: that
	// goes on when the disk is full.
	size := fmt.Sprintf("size=%dm,mode=0700", 96+40*fills())
	err := unix.Mount("saaf-test", dir, "tmpfs", 0, size)
	if errors.Is(err, unix.EPERM) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	return &room{
		dir: dir,
		fill: func(left int64) error {
			f, err := os.Create(ballast)
			if err != nil {
				return err
			}
			defer f.Close()
			size, chunk := int64(0), make([]byte, 1<<16)
			for err == nil {
				var n int
				n, err = f.Write(chunk)
				size += int64(n)
			}
			if !errors.Is(err, syscall.ENOSPC) {
				return err
			}
			return f.Truncate(max(0, size-left))
		},
		clear: func() error { return os.Remove(ballast) },
	}, true
}

// limitFiles is a directory whose server may write no file beyond its present size.
func limitFiles(t *testing.T, pid func() int) *room {
	t.Helper()
	r := &room{dir: t.TempDir(), ends: true}
	limit := func(bytes uint64) error {
		return unix.Prlimit(pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil)
	}
	r.fill = func(left int64) error {
		info, err := os.Stat(filepath.Join(r.dir, "data", "saaf.db-wal"))
		if err != nil {
			return err
		}
		return limit(uint64(info.Size() + left))
	}
	r.clear = func() error { return limit(unix.RLIM_INFINITY) }
	return r
}

// disk is a small disk, or where this user may not mount one a limit of files.
func disk(t *testing.T, pid func() int) *room {
	t.Helper()
	if r, ok := smallDisk(t); ok {
		return r
	}
	t.Log("this user may not mount: files are limited instead")
	return limitFiles(t, pid)
}

// diskRun is a server whose disk fills up again and again.
type diskRun struct {
	*facts
	binary   string
	room     *room
	srv      *apptest.Server
	key      string
	campaign string
	next     int64
	full     int // pushes that were refused
	ended    int // servers
}

func (d *diskRun) dir() string { return filepath.Join(d.room.dir, "data") }

func (d *diskRun) start() (err error) {
	d.srv, err = apptest.Start(d.binary, d.dir())
	return err
}

func startDiskRun(t *testing.T, binary string, r func(pid func() int) *room) *diskRun {
	t.Helper()
	d := &diskRun{facts: newFacts(), binary: binary, next: loadFrom}
	d.room = r(func() int { return d.srv.PID() })
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.srv.Kill() })
	d.key = fastKey(t, d.dir(), d.srv.TenantID)
	return d
}

// anew goes on with a campaign of its own, so that not all that came before has to be read
// after each fill.
func (d *diskRun) anew(ctx context.Context) error {
	camp, err := client.New(d.srv.URL, d.key).CreateCampaign(ctx, client.NewCampaign{Name: "full", DialMode: "preview"})
	d.campaign = camp.ID
	return err
}

// batch is so many new leads, with enough beside the phone to fill a disk.
func (d *diskRun) batch(n int) []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]int64, n)
	for i := range list {
		list[i] = d.next
		d.next++
	}
	return list
}

// push pushes phones that nobody has pushed, or only in vain. refused: it was answered that
// nothing of it was stored.
func (d *diskRun) push(ctx context.Context, phones []int64) (refused bool, err error) {
	leads := make([]client.NewLead, len(phones))
	filling := fmt.Appendf(nil, `{"note": "%s"}`, strings.Repeat("n", 3000)) // few leads fill a disk, and are soon read again
	for i, phone := range phones {
		leads[i] = client.NewLead{Phone: fmt.Sprint(phone), Name: strings.Repeat("n", 200), Metadata: filling}
	}
	res, err := client.New(d.srv.URL, d.key).PushLeads(ctx, d.campaign, leads)
	switch e, _ := errors.AsType[*client.Error](err); {
	case err == nil:
	case answeredWith(err, 503, "storage_unavailable") && strings.Contains(e.Detail, "nothing of this request was stored"):
		if !d.room.ends && !strings.Contains(e.Detail, "disk") {
			d.fault("what is wrong is not said: %s", e.Detail)
		}
		return true, nil
	case answeredWith(err, 503, "storage_unavailable"), noAnswer(err), answeredWith(err, 503, "stopping"):
		d.pushUnanswered(askedPush{campaign: d.campaign, phones: phones, fresh: phones})
		return false, err
	default:
		d.fault("an unexpected answer: %v", err)
		return false, err
	}
	for i, row := range res.Results {
		if row.ID == nil {
			d.fault("%d, of which nothing was stored, is taken for a %s", phones[i], row.Status)
			continue
		}
		d.stored(d.campaign, phones[i], *row.ID, true)
	}
	d.pushAnswered()
	return false, nil
}

// run fills the disk, pushes until it is full, gives room, and checks what is there.
func (d *diskRun) run(t *testing.T) error {
	t.Helper()
	ctx := t.Context()
	if err := d.anew(ctx); err != nil {
		return err
	}
	if err := d.room.fill(rand.Int64N(3 << 20)); err != nil {
		return err
	}
	var mu sync.Mutex
	var again [][]int64
	var group sync.WaitGroup
	for _, size := range []int{1, 1, 20, 200} {
		group.Go(func() {
			for refusals := 0; refusals < 5; {
				phones := d.batch(size)
				refused, err := d.push(ctx, phones)
				if err != nil {
					return
				}
				if refused {
					refusals++
					mu.Lock()
					again = append(again, phones)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	d.full += len(again)
	if len(again) > 0 && !d.room.ends {
		d.said(t)
	}
	gone := d.check(ctx, "full")
	if err := d.room.clear(); err != nil && gone == nil {
		return err
	}
	if gone != nil {
		if err := d.again(gone); err != nil {
			return err
		}
	}
	for _, phones := range again {
		d.pushWhenReady(t, phones)
	}
	return d.check(ctx, "room again")
}

// said expects that a full disk is said where operators look.
func (d *diskRun) said(t *testing.T) {
	t.Helper()
	const words = "is full: writes are refused with 503 storage_unavailable"
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(d.srv.Log(), words); {
		if time.Now().After(deadline) {
			d.fault("the log does not say that the disk is full")
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	ready := get(t, d.srv.URL+"/readyz")
	if ready["status"] != "ready" || !strings.Contains(fmt.Sprint(ready["warnings"]), words) {
		d.fault("/readyz does not say that the disk is full: %v", ready)
	}
}

// again starts the server again, which has ended by itself because it cannot know what is on
// the disk until it is opened anew. A full disk alone is no reason, unless it was the index
// of the log that did not fit, after the log itself did.
func (d *diskRun) again(gone error) error {
	if err := d.srv.Kill(); err != nil {
		return err
	}
	d.ended++
	if !d.room.ends && !strings.Contains(d.srv.Log(), "SHM") {
		return fmt.Errorf("the server has ended: %w\n%s", gone, d.srv.Log())
	}
	return d.start()
}

// pushWhenReady pushes until there is an answer that is not for later.
func (d *diskRun) pushWhenReady(t *testing.T, phones []int64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		refused, err := d.push(t.Context(), phones)
		if err == nil && !refused {
			return
		}
		if err != nil || time.Now().After(deadline) {
			d.fault("there is room, and %d leads are not taken: %v", len(phones), err)
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// checkAll holds the leads of every campaign against what was answered.
func (d *diskRun) checkAll(ctx context.Context) error {
	for d.campaign = range d.leads {
		if err := d.check(ctx, "in the end"); err != nil {
			return err
		}
	}
	return nil
}

// check holds the leads of the campaign against what was answered.
func (d *diskRun) check(ctx context.Context, when string) error {
	stored := make(map[int64]string)
	err := eachLead(ctx, client.New(d.srv.URL, d.key), d.campaign, func(l client.Lead) {
		phone, err := strconv.ParseInt(l.Phone, 10, 64)
		if _, twice := stored[phone]; twice || err != nil {
			d.fault("%s: %s is stored twice, or no number", when, l.Phone)
		}
		stored[phone] = l.ID
	})
	if err != nil {
		return fmt.Errorf("%s: %w", when, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.leads[d.campaign]
	for phone, id := range known {
		if stored[phone] != id {
			d.wrong("%s: %d was answered with %s, and is stored as %q", when, phone, id, stored[phone])
		}
	}
	for _, p := range d.maybe {
		there := 0
		for _, phone := range p.phones {
			if id := stored[phone]; id != "" {
				there++
				known[phone] = id
			}
		}
		if there != 0 && there != len(p.phones) {
			d.wrong("%s: of %d leads in doubt %d are stored", when, len(p.phones), there)
		}
	}
	d.maybe = nil
	if len(stored) != len(known) {
		d.wrong("%s: %d leads are stored, want %d", when, len(stored), len(known))
	}
	return nil
}

// fills is how often the disk is filled.
func fills() int {
	if os.Getenv("SAAF_LONG") != "" {
		return 10
	}
	return 4
}

// TestDiskOfServerIsFull fills the disk under a server. Pushes are refused with words, what
// was acknowledged stays, nothing of what was refused is there or remembered, and all goes on
// when there is room.
func TestDiskOfServerIsFull(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, pid func() int) *room{"disk": disk, "limit": limitFiles} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDiskRun(t, binary, func(pid func() int) *room { return make(t, pid) })
			for range fills() {
				if err := d.run(t); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.checkAll(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, fault := range d.faults {
				t.Error(fault)
			}
			if d.full == 0 && d.ended == 0 {
				t.Error("nothing was refused: the test has tested nothing")
			}
			if err := d.srv.Stop(); err != nil {
				t.Error(err)
			}
			command(t, d.dir(), "audit", "verify")
			t.Logf("%d pushes answered, %d refused, %d servers ended", d.answers, d.full, d.ended)
		})
	}
}
