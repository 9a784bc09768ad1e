package apptest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
)

// Log is the write-ahead log of an embedded store as a killed process has left it, up to
// the last commit that SQLite would find there.
type Log struct {
	Size int64 // of the file; behind End stands what was not committed

	page    int64
	header  []byte
	commits []logCommit
}

// logCommit is one transaction in the log.
type logCommit struct {
	end   int64           // where it ends in the file
	pages map[int64]int64 // the pages it wrote, and where their content stands in the file
}

const (
	logHeader   = 32 // bytes before the first frame
	frameHeader = 24 // bytes before the page of each frame
)

// ReadLog reads the log of the database file db. A log that is not there is empty.
func ReadLog(db string) (*Log, error) {
	data, err := os.ReadFile(db + "-wal")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l := &Log{Size: int64(len(data))}
	if len(data) < logHeader {
		return l, nil
	}
	l.header = data[:logHeader:logHeader]
	magic := binary.BigEndian.Uint32(data)
	if magic&^1 != 0x377f0682 {
		return nil, fmt.Errorf("%s-wal does not begin as a log of SQLite", db)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	l.page = int64(binary.BigEndian.Uint32(data[8:]))
	sum := checksum(order, [2]uint32{}, data[:24])
	if sum != readSum(data[24:]) {
		return l, nil
	}
	open := make(map[int64]int64)
	for at := int64(logHeader); at+frameHeader+l.page <= l.Size; at += frameHeader + l.page {
		frame := data[at : at+frameHeader+l.page]
		if string(frame[8:16]) != string(data[16:24]) { // of an earlier use of the file
			break
		}
		sum = checksum(order, checksum(order, sum, frame[:8]), frame[frameHeader:])
		if sum != readSum(frame[16:]) {
			break
		}
		open[int64(binary.BigEndian.Uint32(frame))] = at + frameHeader
		if binary.BigEndian.Uint32(frame[4:]) != 0 {
			l.commits = append(l.commits, logCommit{at + frameHeader + l.page, open})
			open = make(map[int64]int64)
		}
	}
	return l, nil
}

func readSum(b []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// checksum is that of the log format of SQLite: it goes on from the sum before.
func checksum(order binary.ByteOrder, sum [2]uint32, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		sum[0] += order.Uint32(b) + sum[1]
		sum[1] += order.Uint32(b[4:]) + sum[0]
	}
	return sum
}

// End is where the last commit ends, 0 when there is none.
func (l *Log) End() int64 { return l.endOf(len(l.commits) - 1) }

func (l *Log) endOf(i int) int64 {
	if i < 0 {
		return min(l.Size, int64(len(l.header)))
	}
	return l.commits[i].end
}

// CutTail cuts the log of db, which l was read from, somewhere behind the last commit,
// and puts junk there: noise, or frames of the right form whose sums do not fit.
func (l *Log) CutTail(db string) error {
	f, err := os.OpenFile(db+"-wal", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	end := l.End()
	if err := f.Truncate(end + rand.Int64N(l.Size-end+1)); err != nil {
		return err
	}
	junk := noise(rand.IntN(40_000))
	if l.page > 0 && rand.IntN(2) == 0 {
		for at := int64(0); at+16 <= int64(len(junk)); at += frameHeader + l.page {
			binary.BigEndian.PutUint32(junk[at:], 1+rand.Uint32N(50)) // a page that there is
			binary.BigEndian.PutUint32(junk[at+4:], 100)              // as of a commit
			copy(junk[at+8:], l.header[16:24])
		}
	}
	at := end
	if rand.IntN(2) == 0 { // behind what is left of the tail
		info, err := f.Stat()
		if err != nil {
			return err
		}
		at = info.Size()
	}
	_, err = f.WriteAt(junk, at)
	return errors.Join(err, f.Sync())
}

// TearPages overwrites pages of the database file that the log covers, as a write-back
// leaves them that was cut short, and returns how many. The first page is left alone:
// SQLite reads its first bytes, which are on the disk whole or not at all, before it looks
// at the log.
func (l *Log) TearPages(db string) (torn int, err error) {
	if len(l.commits) == 0 {
		return 0, nil
	}
	f, err := os.OpenFile(db, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	for _, c := range l.commits {
		for page := range c.pages {
			if page == 1 || page*l.page > info.Size() || rand.IntN(3) == 0 {
				continue
			}
			from := rand.Int64N(l.page)
			if _, err := f.WriteAt(noise(int(l.page-from)), (page-1)*l.page+from); err != nil {
				return torn, err
			}
			torn++
		}
	}
	return torn, f.Sync()
}

// CutCommit cuts the log of db inside its last transaction, or damages a byte of that. It
// does nothing, and ok is false, when there is none, or when a page of it may have been
// written back already: then cutting it is nothing that a crash can do.
func (l *Log) CutCommit(db string) (ok bool, err error) {
	n := len(l.commits) - 1
	if n < 0 {
		return false, nil
	}
	if back, err := l.writtenBack(db, l.commits[n]); err != nil || back {
		return false, err
	}
	f, err := os.OpenFile(db+"-wal", os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	from, to := l.endOf(n-1), l.endOf(n)
	at := from + rand.Int64N(to-from)
	if rand.IntN(2) == 0 {
		return true, f.Truncate(at)
	}
	// In the content of a frame every byte counts.
	frame := from + (at-from)/(frameHeader+l.page)*(frameHeader+l.page)
	at = frame + frameHeader + rand.Int64N(l.page)
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return false, err
	}
	b[0] ^= 1 << rand.IntN(8)
	_, err = f.WriteAt(b[:], at)
	return true, errors.Join(err, f.Sync())
}

// writtenBack reports whether a page of a transaction stands in the database file as it
// wrote it.
func (l *Log) writtenBack(db string, c logCommit) (bool, error) {
	log, err := os.Open(db + "-wal")
	if err != nil {
		return false, err
	}
	defer log.Close()
	file, err := os.Open(db)
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	was, is := make([]byte, l.page), make([]byte, l.page)
	for page, at := range c.pages {
		if page*l.page > info.Size() {
			continue
		}
		if _, err := log.ReadAt(is, at); err != nil {
			return false, err
		}
		if _, err := file.ReadAt(was, (page-1)*l.page); err != nil {
			return false, err
		}
		if string(was) == string(is) {
			return true, nil
		}
	}
	return false, nil
}

// noise is n random bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}
