package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// secure_delete overwrites a row where it is deleted. It does not reach the copies
// that SQLite makes on the way: when it spreads the rows of a full page over others,
// a page that comes out with fewer can keep what moved away, in the space between
// its list of cells and the first of them. Nothing reads that space, and nothing
// but a later insert overwrites it. VACUUM would, and would keep all writes waiting
// for as long as it takes to copy the store. So it is overwritten in the file, a few
// thousand pages at a time, while the lock for writing is held and the log is empty:
// then the file is all there is, and nobody else writes to it.

const (
	// scrubPages is how many pages are looked at before writers get their turn: some
	// milliseconds.
	scrubPages = 4096
	// maxScrubPages is from where on a page that continues a long row can look like
	// one with cells: it begins with the number of the next one.
	maxScrubPages = 0x02_00_00_00
)

// forgetErased overwrites the free space of all pages. left is true when others read
// or write too much at the moment for it to get through.
func (e *embedded) forgetErased(ctx context.Context) (left bool, err error) {
	conn, err := openConn(ctx, e.path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	conn.SetInterrupt(ctx.Done())
	// While it waits for readers to leave the log, the writer waits too.
	conn.SetBusyTimeout(500 * time.Millisecond)
	file, err := rawFile(e.path)
	if err != nil {
		return false, err
	}
	for page := int64(0); page >= 0; {
		if locked, err := e.lockFile(conn); err != nil || !locked {
			return true, err
		}
		page, err = zeroFree(file, page, scrubPages)
		if err == nil {
			// A change, so that all others read the pages anew that they have in memory.
			_, err = conn.exec(`UPDATE deployment SET scrubs = scrubs + 1`)
		}
		end := "COMMIT"
		if err != nil {
			end = "ROLLBACK"
		}
		if _, eerr := conn.exec(end); err != nil || eerr != nil {
			return true, errors.Join(err, eerr)
		}
	}
	return false, nil
}

// lockFile takes the lock for writing while the log is empty: all that is committed
// is in the database file then.
func (e *embedded) lockFile(conn sqliteConn) (locked bool, err error) {
	for range 20 {
		// This does the work while others write, so that cutting the log is short.
		if done, err := writeAllBack(conn); err != nil || !done {
			return false, err
		}
		busy := int64(0)
		err := sqlitex.ExecuteTransient(conn.Conn, "PRAGMA wal_checkpoint(TRUNCATE)", &sqlitex.ExecOptions{
			ResultFunc: func(stmt *sqlite.Stmt) error { busy = stmt.ColumnInt64(0); return nil },
		})
		if err != nil || busy != 0 {
			return false, notBusy(err)
		}
		if _, err := conn.exec("BEGIN IMMEDIATE"); err != nil {
			return false, notBusy(err)
		}
		switch log, err := os.Stat(e.path + "-wal"); {
		case err == nil && log.Size() == 0, errors.Is(err, fs.ErrNotExist):
			return true, nil
		case err != nil:
			_, rerr := conn.exec("ROLLBACK")
			return false, errors.Join(err, rerr)
		}
		// Somebody wrote in between.
		if _, err := conn.exec("ROLLBACK"); err != nil {
			return false, err
		}
	}
	return false, nil
}

// How often it is looked whether readers have left the log, and how long there is between
// two looks: half a second together.
const (
	looksForReaders = 25
	betweenLooks    = 20 * time.Millisecond
)

// writeAllBack writes the log back. done is false when somebody goes on reading a state of
// the database that is not the newest, as a backup does for as long as it copies: whoever
// cuts the log would wait for that one, and all writers for him.
func writeAllBack(conn sqliteConn) (done bool, err error) {
	for look := range looksForReaders {
		if look > 0 {
			time.Sleep(betweenLooks)
		}
		log, back, err := writeBack(conn)
		if err != nil || back >= log {
			return err == nil, err
		}
	}
	return false, nil
}

func notBusy(err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy {
		return nil
	}
	return err
}

// zeroFree overwrites the free space of n pages of a database file and returns
// the page after them, -1 when there is none.
func zeroFree(f *os.File, first, n int64) (next int64, err error) {
	var header [100]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return 0, err
	}
	size := int64(binary.BigEndian.Uint16(header[16:]))
	if size == 1 {
		size = 65536
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size()/size >= maxScrubPages {
		return 0, fmt.Errorf("a database of %d bytes is too large to be scrubbed", info.Size())
	}
	pages := make([]byte, n*size)
	read, err := f.ReadAt(pages, first*size)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	wrote := false
	for i := range int64(read) / size {
		page := pages[i*size : (i+1)*size]
		from, to := freeSpace(page, first+i == 0)
		if dirty := bytes.TrimRight(page[from:to], "\x00"); len(dirty) > 0 {
			if _, err := f.WriteAt(make([]byte, len(dirty)), (first+i)*size+int64(from)); err != nil {
				return 0, err
			}
			wrote = true
		}
	}
	if wrote {
		err = f.Sync()
	} else {
		err = nil
	}
	if int64(read) < n*size {
		return -1, err
	}
	return first + n, err
}

// freeSpace is where nothing is kept in a page of a table or an index, between its
// list of cells and the first cell. Other pages have none.
func freeSpace(page []byte, first bool) (from, to int) {
	at := 0
	if first {
		at = 100 // behind the header of the file
	}
	switch page[at] {
	case 2, 5: // inner pages of an index and a table
		from = at + 12
	case 10, 13: // leaves
		from = at + 8
	default:
		return 0, 0
	}
	from += 2 * int(binary.BigEndian.Uint16(page[at+3:]))
	to = int(binary.BigEndian.Uint16(page[at+5:]))
	if to == 0 {
		to = 65536
	}
	if from > to || to > len(page) {
		return 0, 0
	}
	return from, to
}

// rawFiles are database files that were opened beside SQLite. The locks of SQLite
// belong to the process and the file: closing any descriptor of the file would drop
// them. So these stay open for as long as the process lives.
var rawFiles struct {
	sync.Mutex
	files []*os.File
}

func rawFile(path string) (*os.File, error) {
	rawFiles.Lock()
	defer rawFiles.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rawFiles.files, func(f *os.File) bool {
		there, err := f.Stat()
		return err == nil && os.SameFile(info, there)
	})
	if i >= 0 {
		return rawFiles.files[i], nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	rawFiles.files = append(rawFiles.files, f)
	return f, nil
}
