package store

import (
	"context"
	"os"
	"testing"
)

// logSalt is what the log is given each time that it begins anew.
func (b *bundle) logSalt() string {
	b.t.Helper()
	f, err := os.Open(b.embedded().path + "-wal")
	b.must(err)
	defer f.Close()
	salt := make([]byte, 8)
	_, err = f.ReadAt(salt, 16)
	b.must(err)
	return string(salt)
}

// Beside a writer that never rests the log begins anew again and again, and what
// was stored is all there.
func TestWriteBack(t *testing.T) {
	t.Parallel()
	const pages = 256
	b := open(t, Config{Dir: t.TempDir(), WriteBack: true, writeBackFrom: pages})
	b.tenant = b.newTenant("Asha Finance")
	b.campaign = b.newCampaign(b.tenant, "live")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.RunWriteBack(ctx) }()
	n, salts := 0, map[string]bool{}
	for ; len(salts) < 4; n += 100 {
		if n > 1_000_000 {
			t.Fatalf("the log began %d times with %d leads", len(salts), n)
		}
		b.add(b.campaign, leads(n, n+100)...)
		salts[b.logSalt()] = true
	}
	b.add(b.campaign, leads(n, n+1)...)
	cancel()
	b.must(<-ended)
	b = b.reopen()
	if got := b.number(`SELECT count(*) FROM leads`); got != int64(n+1) {
		t.Errorf("%d leads are there of %d", got, n+1)
	}
	if got := b.number(`SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`); got != 0 {
		t.Error("the file is damaged")
	}
}

// A server may be told to stop before it has begun.
func TestWriteBackThatNeverBegins(t *testing.T) {
	t.Parallel()
	b := open(t, Config{Dir: t.TempDir(), WriteBack: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.must(b.RunWriteBack(ctx))
}
