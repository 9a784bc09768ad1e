package store

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"sync"

	"saaf"
)

// BlockSize is how many bytes of a snapshot file are one block; the last has what is
// left.
const BlockSize = 1 << 20

// ErrBlockDamaged is returned for a block that cannot be what was published.
var ErrBlockDamaged = errors.New("a block of the snapshot file is damaged")

// PutBlock stores a block of a file that is being published, in a transaction of its
// own, whether it is there already or not. seq counts from 0. When the file has been
// removed meanwhile it returns [ErrNotPublished].
func (s *Store) PutBlock(ctx context.Context, sha saaf.SHA256, seq int64, block []byte) error {
	const sqlPutBlock = `
		INSERT INTO snapshot_blocks AS b (sha256, seq, bytes, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (sha256, seq) DO UPDATE SET bytes = excluded.bytes, data = excluded.data`
	data, err := compress(block)
	if err != nil {
		return wrap("publish a block", err)
	}
	err = s.write(ctx, beside, 1, func(t *tx) error {
		if err := t.touchUpload(sha); err != nil {
			return err
		}
		_, err := t.exec(sqlPutBlock, sha[:], seq, len(block), data)
		return err
	})
	return wrap("publish a block", err)
}

// Block reads a block. One that is not there is [ErrNotPublished], one that cannot be
// read [ErrBlockDamaged]; whether one that can is the right one shows the hash of the
// whole file.
func (s *Store) Block(ctx context.Context, sha saaf.SHA256, seq int64) (block []byte, err error) {
	const sqlBlock = `SELECT bytes, data FROM snapshot_blocks WHERE sha256 = $1 AND seq = $2`
	var size int64
	var data []byte
	found := false
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlBlock, func(r row) error {
			size, data, found = r.int64(), r.bytes(), true
			return nil
		}, sha[:], seq)
	})
	if err == nil && !found {
		err = ErrNotPublished
	}
	if err == nil {
		block, err = decompress(data, size)
	}
	return block, wrap("read a block", err)
}

// blockWriters are compressors between two blocks: each is a megabyte.
var blockWriters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // only an unknown level is an error
	return w
}}

// compress is what is stored of a block: shorter than it, or the block itself.
func compress(block []byte) ([]byte, error) {
	w := blockWriters.Get().(*flate.Writer)
	defer blockWriters.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(block)))
	w.Reset(out)
	_, err := w.Write(block)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	if out.Len() >= len(block) {
		return block, nil
	}
	return out.Bytes(), nil
}

// decompress is the block of so many bytes that data was made of.
func decompress(data []byte, size int64) ([]byte, error) {
	if size < 1 || size > BlockSize || int64(len(data)) > size {
		return nil, ErrBlockDamaged
	}
	if int64(len(data)) == size {
		return data, nil
	}
	block := make([]byte, size)
	left := bytes.NewReader(data)
	r := flate.NewReader(left)
	if _, err := io.ReadFull(r, block); err != nil {
		return nil, ErrBlockDamaged
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF || left.Len() > 0 {
		return nil, ErrBlockDamaged
	}
	return block, nil
}
