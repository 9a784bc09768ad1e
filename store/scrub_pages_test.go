package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
)

// hole is where a page of 4096 bytes keeps nothing.
func hole(page []byte, number int) []byte {
	header := page
	if number == 0 {
		header = page[100:]
	}
	lists := map[byte]int{2: 12, 5: 12, 10: 8, 13: 8}[header[0]] // behind the header of a page of this kind
	if lists == 0 {
		return nil
	}
	from := len(page) - len(header) + lists + 2*int(binary.BigEndian.Uint16(header[3:]))
	return page[from:binary.BigEndian.Uint16(header[5:])]
}

// Pages of every kind, some at a time: what is in their free space goes, and not a
// byte more.
func TestFreeSpaceIsOverwritten(t *testing.T) {
	t.Parallel()
	const size = 4096
	b := setup(t)
	_, err := b.embedded().conn.exec("PRAGMA synchronous = OFF")
	b.must(err)
	for n := range 12 {
		batch := leads(500*n, 500*n+500)
		for i := range batch {
			batch[i].Input.Metadata = bytes.Repeat([]byte{13}, i%200)
		}
		batch[0].Input.Metadata = bytes.Repeat([]byte{2, 5, 10, 13}, 3000) // goes on on pages of its own
		b.add(b.campaign, batch...)
	}
	b.stop() // which leaves no log

	path := filepath.Join(b.dir, fileName)
	clean, err := os.ReadFile(path)
	b.must(err)
	kinds := map[byte]int{}
	for at := 0; at < len(clean); at += size {
		if h := hole(clean[at:at+size], at); len(h) > 0 {
			clear(h)
			kinds[clean[at]]++
		}
	}
	for _, kind := range []byte{2, 5, 10, 13} {
		if kinds[kind] == 0 {
			t.Fatalf("there is no page of the kind %d: %v", kind, kinds)
		}
	}
	dirty := bytes.Clone(clean)
	for at := 0; at < len(dirty); at += size {
		for i := range hole(dirty[at:at+size], at) {
			hole(dirty[at:at+size], at)[i] = byte(i + 1)
		}
	}
	b.must(os.WriteFile(path, dirty, 0o600))

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	b.must(err)
	defer f.Close()
	steps := 0
	for page := int64(0); page >= 0; steps++ {
		if steps > len(clean)/size {
			t.Fatal("it does not end")
		}
		page, err = zeroFree(f, page, 7)
		b.must(err)
	}
	got, err := os.ReadFile(path)
	b.must(err)
	if len(got) != len(clean) {
		t.Fatalf("%d bytes became %d", len(clean), len(got))
	}
	for at := 0; at < len(clean); at += size {
		if !bytes.Equal(got[at:at+size], clean[at:at+size]) {
			t.Errorf("page %d, of the kind %d, is not as it was without what was in its free space", at/size+1, clean[at])
		}
	}
}

// While others write, the file is touched only when the log is empty: else somebody
// could be writing a page back that was looked at before.
func TestFileIsLockedWithoutALog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop, written := make(chan struct{}), make(chan error, 2)
	for range cap(written) {
		conn := b.connect()
		_, err := conn.exec("PRAGMA synchronous = OFF")
		b.must(err)
		go func() {
			for {
				select {
				case <-stop:
					written <- nil
					return
				default:
				}
				if _, err := conn.exec(`UPDATE deployment SET scrubs = scrubs + 1`); err != nil {
					written <- err
					return
				}
			}
		}()
	}
	conn := b.connect()
	_, err := conn.exec("PRAGMA synchronous = OFF")
	b.must(err)
	locked := 0
	for n := 0; n < 1000 && !t.Failed(); n++ {
		is, err := b.embedded().lockFile(conn)
		b.must(err)
		if !is {
			continue
		}
		locked++
		if log, err := os.Stat(b.embedded().path + "-wal"); err != nil || log.Size() > 0 {
			t.Errorf("the file is locked with a log of %d bytes, %v", log.Size(), err)
		}
		_, err = conn.exec("ROLLBACK")
		b.must(err)
	}
	close(stop)
	for range cap(written) {
		b.must(<-written)
	}
	if locked == 0 {
		t.Error("it was never locked")
	}
}

// Closing any descriptor of the file would drop the locks that this process has on
// it, and others would write beside it.
func TestRawFileStaysOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f, err := rawFile(b.embedded().path)
	b.must(err)
	for range 2 {
		if left, err := b.engine.forgetErased(t.Context()); left || err != nil {
			t.Fatal(left, err)
		}
	}
	if again, err := rawFile(b.embedded().path); again != f || err != nil {
		t.Errorf("it was opened once more, %v", err)
	}
	if _, err := f.Stat(); err != nil {
		t.Error(err)
	}
}

// Somebody who goes on reading an old state, as a backup does, keeps an erasure from being
// finished, and nobody else from writing: the log is not cut while they read.
func TestErasureBesideABackup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(b.campaign, leads(0, 1)...)
	reader, err := openConn(t.Context(), b.embedded().path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	b.must(err)
	defer reader.Close()
	for _, sql := range []string{`BEGIN`, `SELECT count(*) FROM leads`} {
		_, err := reader.exec(sql)
		b.must(err)
	}
	b.add(b.campaign, leads(1, 2)...)

	conn, err := openConn(t.Context(), b.embedded().path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	b.must(err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn.SetInterrupt(ctx.Done())
	conn.SetBusyTimeout(time.Hour) // that it would wait for the reader, and the writer for it
	if locked, err := b.embedded().lockFile(conn); locked || err != nil || ctx.Err() != nil {
		t.Errorf("beside a reader: %v, %v", locked, err)
	}
	_, err = reader.exec(`ROLLBACK`)
	b.must(err)
	locked, err := b.embedded().lockFile(conn)
	if !locked || err != nil {
		t.Fatalf("when it has gone: %v, %v", locked, err)
	}
	_, err = conn.exec(`ROLLBACK`)
	b.must(err)
}
