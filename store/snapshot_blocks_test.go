package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"saaf"
)

// snapshotFile is the content of a made-up snapshot file. dense ones cannot be
// compressed.
func snapshotFile(seed uint64, size int, dense bool) (content []byte, u SnapshotUpload) {
	content = make([]byte, size)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range content {
		if dense || random.IntN(50) == 0 {
			content[i] = byte(random.Uint32())
		}
	}
	return content, SnapshotUpload{SHA256: sha256.Sum256(content), Bytes: int64(size)}
}

// blocksOf are the blocks of a content.
func blocksOf(content []byte) (list [][]byte) {
	for len(content) > 0 {
		n := min(BlockSize, len(content))
		list, content = append(list, content[:n]), content[n:]
	}
	return list
}

// publishes puts a whole file into the store.
func (b *bundle) publishes(content []byte, u SnapshotUpload) {
	b.t.Helper()
	_, err := b.BeginUpload(b.ctx, u)
	b.must(err)
	for seq, block := range blocksOf(content) {
		b.must(b.PutBlock(b.ctx, u.SHA256, int64(seq), block))
	}
	b.must(b.EndUpload(b.ctx, u.SHA256))
}

// upload is what the store says of a file, zero for nothing.
func (b *bundle) upload(sha saaf.SHA256) (found SnapshotUpload) {
	b.t.Helper()
	list, err := b.Uploads(b.ctx)
	b.must(err)
	for _, u := range list {
		if u.SHA256 == sha {
			found = u
		}
	}
	return found
}

// fetched is a file as the store has it.
func (b *bundle) fetched(u SnapshotUpload) (content []byte, err error) {
	for seq := range u.Blocks() {
		block, err := b.Block(b.ctx, u.SHA256, seq)
		if err != nil {
			return nil, err
		}
		content = append(content, block...)
	}
	return content, nil
}

// In whatever order, and however often, the blocks of a file come: it is ready when
// all are there, not before, and is then what was published.
func TestSnapshotBlocks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sizes := []int{1, 2, BlockSize - 1, BlockSize, BlockSize + 1, 2 * BlockSize, 2*BlockSize + 77}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.SampledFrom(sizes), rapid.IntRange(1, 3*BlockSize)).Draw(t, "size")
		dense := rapid.Bool().Draw(t, "dense")
		content, u := snapshotFile(rapid.Uint64().Draw(t, "seed"), size, dense)
		blocks := blocksOf(content)
		order := rapid.Permutation(indexes(len(blocks))).Draw(t, "order")
		known, err := b.BeginUpload(b.ctx, u)
		if err != nil {
			t.Fatal(err)
		}
		if was := b.upload(u.SHA256); !known && (was.Ready || was.Pending || was.Bytes != u.Bytes || was.TouchedAt.IsZero()) {
			t.Fatalf("begun: %+v", was)
		}
		for i, seq := range order {
			if !known { // rapid may draw a file twice
				if err := b.EndUpload(b.ctx, u.SHA256); !errors.Is(err, ErrNotPublished) || b.upload(u.SHA256).Ready {
					t.Fatalf("ready with %d of %d blocks: %v", i, len(blocks), err)
				}
			}
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				if err := b.PutBlock(b.ctx, u.SHA256, int64(seq), blocks[seq]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := b.EndUpload(b.ctx, u.SHA256); err != nil || !b.upload(u.SHA256).Ready {
			t.Fatal("not ready:", err)
		}
		got, err := b.fetched(u)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("another content, %d bytes for %d: %v", len(got), len(content), err)
		}
		stored := b.number(`SELECT CAST(sum(length(data)) AS BIGINT) FROM snapshot_blocks WHERE sha256 = $1`, u.SHA256[:])
		if stored > u.Bytes || !dense && size > 1000 && stored > u.Bytes/2 {
			t.Fatalf("%d bytes are stored of %d", stored, u.Bytes)
		}
	})
	if _, err := b.Block(b.ctx, saaf.SHA256{1}, 0); !errors.Is(err, ErrNotPublished) {
		t.Errorf("a block of nothing: %v", err)
	}
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// No damage of a block goes by: it cannot be read, or the hash of the whole is
// another. When somebody publishes the block again all is well.
func TestDamagedBlocks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	damages := map[string]func(size int64, data []byte) (int64, []byte){
		"a bit flipped":    func(size int64, data []byte) (int64, []byte) { data[len(data)/2] ^= 4; return size, data },
		"the first bit":    func(size int64, data []byte) (int64, []byte) { data[0] ^= 1; return size, data },
		"truncated":        func(size int64, data []byte) (int64, []byte) { return size, data[:len(data)-1] },
		"empty":            func(size int64, _ []byte) (int64, []byte) { return size, []byte{} },
		"longer":           func(size int64, data []byte) (int64, []byte) { return size, append(data, 0) },
		"another size":     func(size int64, data []byte) (int64, []byte) { return size - 1, data },
		"no size":          func(_ int64, data []byte) (int64, []byte) { return 0, data },
		"a negative size":  func(_ int64, data []byte) (int64, []byte) { return -1, data },
		"an enormous size": func(_ int64, data []byte) (int64, []byte) { return 1 << 50, data },
		"zeros":            func(size int64, data []byte) (int64, []byte) { return size, make([]byte, len(data)) },
	}
	for i, dense := range []bool{true, false} {
		content, u := snapshotFile(uint64(i), BlockSize+5000, dense)
		b.publishes(content, u)
		for name, damage := range damages {
			for seq, block := range blocksOf(content) {
				b.damages(u.SHA256, int64(seq), damage)
				got, err := b.fetched(u)
				if err == nil && sha256.Sum256(got) == u.SHA256 {
					t.Errorf("%s in block %d of a file, dense %v: nobody can see it", name, seq, dense)
				}
				if err != nil && !errors.Is(err, ErrBlockDamaged) {
					t.Errorf("%s: %v", name, err)
				}
				b.must(b.DoubtUpload(b.ctx, u.SHA256))
				if b.upload(u.SHA256).Ready {
					t.Errorf("%s: doubted, and still ready", name)
				}
				b.must(b.PutBlock(b.ctx, u.SHA256, int64(seq), block))
				b.must(b.EndUpload(b.ctx, u.SHA256))
				if got, err := b.fetched(u); err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%s: mended, it is another content: %v", name, err)
				}
			}
		}
	}
}

// damages changes a block behind the back of the store.
func (b *bundle) damages(sha saaf.SHA256, seq int64, damage func(size int64, data []byte) (int64, []byte)) {
	b.t.Helper()
	b.must(b.write(b.ctx, beside, 1, func(t *tx) error {
		var size int64
		var data []byte
		err := t.conn.query(`SELECT bytes, data FROM snapshot_blocks WHERE sha256 = $1 AND seq = $2`, func(r row) error {
			size, data = r.int64(), r.bytes()
			return nil
		}, sha[:], seq)
		if err != nil {
			return err
		}
		size, data = damage(size, data)
		n, err := t.exec(`UPDATE snapshot_blocks SET bytes = $1, data = $2 WHERE sha256 = $3 AND seq = $4`, size, data, sha[:], seq)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d blocks changed", n)
		}
		return err
	}))
}

// A file is not ready with blocks that are not its own.
func TestBlocksThatDoNotMakeTheFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content, u := snapshotFile(1, 2*BlockSize+10, false)
	for name, put := range map[string]map[int64][]byte{
		"one is missing":  {0: content[:BlockSize], 2: content[2*BlockSize:]},
		"one is too many": {0: content[:BlockSize], 1: content[:BlockSize], 2: content[2*BlockSize:], 3: content[:10]},
		"a wrong place":   {0: content[:BlockSize], 1: content[:BlockSize], 3: content[2*BlockSize:]},
		"too short":       {0: content[:BlockSize], 1: content[:BlockSize], 2: content[:9]},
	} {
		u.SHA256[0]++
		_, err := b.BeginUpload(b.ctx, u)
		b.must(err)
		for seq, block := range put {
			b.must(b.PutBlock(b.ctx, u.SHA256, seq, block))
		}
		if err := b.EndUpload(b.ctx, u.SHA256); !errors.Is(err, ErrNotPublished) || b.upload(u.SHA256).Ready {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, do := range map[string]func(saaf.SHA256) error{
		"put": func(sha saaf.SHA256) error { return b.PutBlock(b.ctx, sha, 0, content[:1]) },
		"end": func(sha saaf.SHA256) error { return b.EndUpload(b.ctx, sha) },
		"set": func(sha saaf.SHA256) error { return b.SetPending(b.ctx, sha, true) },
	} {
		if err := do(saaf.SHA256{9}); !errors.Is(err, ErrNotPublished) {
			t.Errorf("%s of a file that is not there: %v", name, err)
		}
	}
	b.must(b.DoubtUpload(b.ctx, saaf.SHA256{9}))
	if n := b.number(`SELECT count(*) FROM snapshot_blocks WHERE sha256 = $1`, bytes.Repeat([]byte{9}, 1)); n != 0 {
		t.Errorf("%d blocks of no file", n)
	}
}
