package dnd

import (
	"bytes"
	"compress/flate"
	"context"
	"runtime"
	"sync"
)

// pieceRows is how many rows are made at a time. Packed bytes depend on it.
const pieceRows = 16_384

// piece is rows of one stream that can be made without the pieces around it.
type piece struct {
	span     span
	first    bool // of its stream
	packed   bool
	text     []byte
	deflated bytes.Buffer // blocks of a deflated stream, to a whole byte, without the last block
	counts   rowCounts
	made     chan struct{}
}

// pieceMakers make the pieces of files on all processors. Few exist at a time: who
// takes one must recycle it.
type pieceMakers struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	free   chan *piece // to be filled
	queue  chan *piece // to be made
	order  chan *piece // in the order of the files, made or not
}

// startPieceMakers begins with the work; stop ends it.
func startPieceMakers(ctx context.Context, t *rowText, files []plannedFile) *pieceMakers {
	makers := runtime.GOMAXPROCS(0)
	depth := 4 * makers
	m := &pieceMakers{free: make(chan *piece, depth), queue: make(chan *piece, depth), order: make(chan *piece, depth)}
	m.ctx, m.cancel = context.WithCancel(ctx)
	for range depth {
		m.free <- &piece{made: make(chan struct{}, 1)}
	}
	m.wg.Go(func() { m.plan(files) })
	for range makers {
		m.wg.Go(func() { m.make(t) })
	}
	return m
}

// stop ends the work and waits for its end.
func (m *pieceMakers) stop() {
	m.cancel()
	m.wg.Wait()
}

// plan hands out the pieces. The channels have room for all there are.
func (m *pieceMakers) plan(files []plannedFile) {
	defer close(m.queue)
	for i := range files {
		for _, member := range files[i].members {
			for at := member.from; at < member.to; at += pieceRows {
				select {
				case <-m.ctx.Done():
					return
				case p := <-m.free:
					p.span = span{at, min(at+pieceRows, member.to)}
					p.first, p.packed = at == member.from, files[i].packing != plainText
					m.order <- p
					m.queue <- p
				}
			}
		}
	}
}

func (m *pieceMakers) make(t *rowText) {
	w := &rowWriter{rowText: t}
	pack, err := flate.NewWriter(nil, deflateLevel)
	if err != nil {
		panic(err) // the level does not exist
	}
	for p := range m.queue {
		w.text = p.text
		w.write(p.span, p.first)
		p.text, p.counts = w.text, w.counts
		if p.packed {
			p.deflated.Reset()
			pack.Reset(&p.deflated)
			// A bytes.Buffer takes everything.
			_, _ = pack.Write(p.text)
			_ = pack.Flush()
		}
		p.made <- struct{}{}
	}
}

// next is the next piece in order, when it is made.
func (m *pieceMakers) next() (*piece, error) {
	select {
	case p := <-m.order:
		<-p.made
		return p, m.ctx.Err()
	case <-m.ctx.Done():
		return nil, m.ctx.Err()
	}
}

func (m *pieceMakers) recycle(p *piece) { m.free <- p }
