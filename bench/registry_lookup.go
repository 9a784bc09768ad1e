package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"saaf"
	"saaf/dnd"
)

// splitFile reads a file and splits it into lines and fields: the least that an
// import must do. It returns the lines.
func splitFile(ctx context.Context, path string) (lines int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf, kept, fields := make([]byte, 1<<20), 0, 0
	for ctx.Err() == nil {
		n, err := f.Read(buf[kept:])
		chunk := buf[:kept+n]
		for {
			i := bytes.IndexByte(chunk, '\n')
			if i < 0 {
				break
			}
			for line := chunk[:i]; ; fields++ {
				j := bytes.IndexByte(line, ',')
				if j < 0 {
					break
				}
				line = line[j+1:]
			}
			chunk = chunk[i+1:]
			lines++
		}
		kept = copy(buf, chunk)
		switch {
		case errors.Is(err, io.EOF):
			runtime.KeepAlive(fields)
			return lines, nil
		case err != nil:
			return 0, err
		case kept == len(buf):
			return 0, errors.New("a line is longer than the buffer")
		}
	}
	return 0, ctx.Err()
}

const (
	lookupRounds = 7
	lookupPhones = 1 << 20 // in a round
)

// measureLookups opens the snapshot as a server does and looks random numbers up,
// against loads from random places of the same file, mapped the same way.
func (b *registry) measureLookups(ctx context.Context) error {
	b.say("opening the snapshot and looking numbers up")
	snap, _, err := b.active(ctx)
	if err != nil {
		return err
	}
	path := filepath.Join(b.data.registry(), snap.SHA256.String()+dnd.Extension)
	var opened *dnd.Snapshot
	opens := make([]float64, lookupRounds)
	for i := range opens {
		if opens[i], err = timed(func() (err error) { opened, err = dnd.Open(path); return err }); err != nil {
			return err
		}
	}
	b.add(within("open", "open the snapshot, warm", 1000*median(opens), "ms", 50))

	registry, err := dnd.NewRegistry(dnd.Config{})
	if err != nil {
		return err
	}
	registry.Use(opened, saaf.SnapshotRef{ID: snap.ID, EffectiveDate: snap.EffectiveDate})
	file, unmap, err := mapFile(path)
	if err != nil {
		return err
	}
	defer unmap()
	random := rand.New(rand.NewPCG(1, 2))
	phones, places := make([]saaf.Phone, lookupPhones), make([]int64, lookupPhones)
	for i := range phones {
		phones[i] = b.heads[random.IntN(len(b.heads))]*headSpan + saaf.Phone(random.Int64N(headSpan))
		places[i] = random.Int64N(int64(len(file)))
	}
	one, many := make([]float64, lookupRounds), make([]float64, lookupRounds)
	bits, loads := make([]float64, lookupRounds), make([]float64, lookupRounds)
	for i := range lookupRounds {
		one[i], many[i] = lookEach(opened, phones), lookTogether(registry.View(), phones)
		bits[i], loads[i] = testEach(file, places), loadEach(file, places)
	}
	b.add(against("lookup", "lookup of a number", median(one), median(bits), "ns", 2).noted("against a load from a random place of the same file, whose bit decides a branch; a load for nothing takes %.3g ns", median(loads)))
	b.add(against("verdict", "verdict about a number, 500 together", median(many), median(bits), "ns", 2).noted("with the age of the registry, as a bulk push asks"))
	return nil
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// perItem is the time since start for each of n, in nanoseconds.
func perItem(start time.Time, n int) float64 { return float64(time.Since(start)) / float64(n) }

func lookEach(s *dnd.Snapshot, phones []saaf.Phone) float64 {
	start, listed := time.Now(), 0
	for _, p := range phones {
		if s.Lookup(p).Listed {
			listed++
		}
	}
	took := perItem(start, len(phones))
	runtime.KeepAlive(listed)
	return took
}

func lookTogether(v *dnd.View, phones []saaf.Phone) float64 {
	verdicts, now := make([]saaf.Verdict, 0, saaf.MaxBulk), time.Now()
	start := time.Now()
	for some := range slices.Chunk(phones, saaf.MaxBulk) {
		verdicts = v.CheckAll(verdicts[:0], some, now)
	}
	return perItem(start, len(phones))
}

func loadEach(file []byte, places []int64) float64 {
	start, sum := time.Now(), byte(0)
	for _, at := range places {
		sum += file[at]
	}
	took := perItem(start, len(places))
	runtime.KeepAlive(sum)
	return took
}

func testEach(file []byte, places []int64) float64 {
	start, set := time.Now(), 0
	for _, at := range places {
		if testBit(file, at) {
			set++
		}
	}
	took := perItem(start, len(places))
	runtime.KeepAlive(set)
	return took
}

// testBit stands behind a call, as a lookup does.
//
//go:noinline
func testBit(file []byte, at int64) bool { return file[at]>>(at%8)&1 != 0 }

// mapFile maps a file and reads all of it into memory.
func mapFile(path string) (data []byte, unmap func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	sum := byte(0)
	for at := 0; at < len(data); at += os.Getpagesize() {
		sum += data[at]
	}
	runtime.KeepAlive(sum)
	return data, func() { _ = syscall.Munmap(data) }, nil
}
