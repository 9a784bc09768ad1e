package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"saaf"
	"saaf/store"
)

// batches gives the leads of a campaign in batches, to a bare loop. It may be called by
// several goroutines.
func batches(s *sequence, leads int64) func() []store.NewLead {
	var next atomic.Int64
	return func() []store.NewLead {
		from := next.Add(saaf.MaxBulk) - saaf.MaxBulk
		if from >= leads {
			return nil
		}
		batch := make([]store.NewLead, min(saaf.MaxBulk, leads-from))
		for i := range batch {
			batch[i] = s.stored(from + int64(i))
		}
		return batch
	}
}

// rawLoop is how many leads a second a bare loop of the prepared insert stores.
func (r *run) rawLoop(ctx context.Context, leads int64) (float64, error) {
	dir, err := os.MkdirTemp(r.dir, "raw-")
	if err != nil {
		return 0, err
	}
	s := newSequence(r.registry, 1)
	took, err := store.RawLoop(ctx, dir, batches(&s, leads))
	return float64(leads) / took.Seconds(), errors.Join(err, os.RemoveAll(dir))
}

// rawUnnest is the same for PostgreSQL, over so many connections.
func (r *run) rawUnnest(ctx context.Context, at place, leads int64) (float64, error) {
	r.raws++
	s := newSequence(r.registry, 1000+r.raws)
	took, err := store.RawUnnest(ctx, at.url, at.dir, rawConnections, batches(&s, leads))
	return float64(leads) / took.Seconds(), err
}

const rawConnections = 8

// rawLog is how many leads a second are appended to a file, with fdatasync for each
// batch: the least that durable can mean.
func (r *run) rawLog(ctx context.Context, leads int64) (rate float64, err error) {
	path := filepath.Join(r.dir, "raw.log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	s := newSequence(r.registry, 1)
	next := batches(&s, leads)
	var buf []byte
	start := time.Now()
	for batch := next(); len(batch) > 0 && ctx.Err() == nil; batch = next() {
		buf = buf[:0]
		for i := range batch {
			l := &batch[i]
			buf = binary.LittleEndian.AppendUint64(buf, uint64(l.Phone))
			buf = append(buf, *l.Input.Name...)
			buf = append(buf, *l.Input.Email...)
			buf = append(buf, l.Input.Metadata...)
		}
		if _, err := f.Write(buf); err != nil {
			return 0, err
		}
		if err := dataSync(f); err != nil {
			return 0, err
		}
	}
	return float64(leads) / time.Since(start).Seconds(), ctx.Err()
}

// emptyHandler is how many pushes of one lead a second a server answers that only reads
// them.
func (r *run) emptyHandler(ctx context.Context, clients int, requests int64) (rate float64, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`"status":"pending" "status":"dnd"`)) // right, whatever is expected
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	defer func() {
		err = errors.Join(err, srv.Close())
		if serr := <-ended; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, serr)
		}
	}()
	t := newTarget("http://"+l.Addr().String(), []string{""})
	defer t.close()
	got, err := t.send(ctx, wave{to: &campaign{seq: newSequence(r.registry, 2)}, clients: clients, size: 1, requests: requests})
	return got.rate(), err
}
