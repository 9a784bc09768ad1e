package scrub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"saaf"
	"saaf/store"
)

// uploads brings a file in as the API does.
func (b *bundle) uploads(content string) store.RegistryImport {
	b.t.Helper()
	im, err := b.Upload(b.t.Context(), UploadRequest{Mode: saaf.FullSet, EffectiveDate: today(), Override: "numbers of a test",
		By: saaf.By{Actor: "test"}}, strings.NewReader(content))
	if err != nil {
		b.t.Fatal(err)
	}
	return im
}

// importsUpload does one import and reads how it ended.
func (b *bundle) importsUpload(im store.RegistryImport) store.RegistryImport {
	b.t.Helper()
	if err := b.runImport(b.t.Context(), store.Lease{}, im.ID); err != nil {
		b.t.Fatal(err)
	}
	ended, err := b.store.RegistryImport(b.t.Context(), im.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(b.uploadsDir(), im.File)); err == nil {
		b.t.Error("the file is left behind")
	}
	return ended
}

func (b *bundle) uploadsDir() string { return UploadDir(b.data) }

// A file that is no longer what arrived is not activated, also where it reads well
// and an override would lift what speaks against it.
func TestUploadThatChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := rows("A", numbers(9_000_000_001, 200)...)
	im := b.uploads(content)
	if err := os.WriteFile(filepath.Join(b.uploadsDir(), im.File), []byte(content[:len(content)/2]), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := b.importsUpload(im)
	if ended.State != store.ImportFailed || !strings.Contains(ended.Problem, "no longer what arrived") || ended.SnapshotID != 0 {
		t.Errorf("it ended as %+v", ended)
	}
	if b.state().Active != nil {
		t.Error("it was activated")
	}
	if ended := b.importsUpload(b.uploads(content)); ended.State != store.ImportCompleted || b.state().Active.Numbers != 200 {
		t.Errorf("as it arrived it ended as %+v", ended)
	}
}

// An import whose lease has gone to another process leaves everything to that one.
func TestImportOfTheOvertaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := rows("A", numbers(9_000_000_001, 200)...)
	for name, date := range map[string]saaf.Date{"activated": today(), "refused": today() + 5} {
		im, err := b.Upload(t.Context(), UploadRequest{Mode: saaf.FullSet, EffectiveDate: date}, strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		old, ok, err := b.store.Claim(t.Context(), ImportsLease, time.Hour)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := b.store.Release(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if err := b.runImport(t.Context(), old, im.ID); !errors.Is(err, store.ErrLeaseLost) {
			t.Errorf("%s: %v", name, err)
		}
		if im, err := b.store.RegistryImport(t.Context(), im.ID); err != nil || im.State != store.ImportQueued {
			t.Errorf("%s: it is %s (%v)", name, im.State, err)
		}
		if _, err := os.Stat(filepath.Join(b.uploadsDir(), im.File)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := b.store.LedgerAfter(t.Context(), 0); err != nil || len(list) > 0 {
			t.Errorf("%s: %d entries of evidence were left (%v)", name, len(list), err)
		}
	}
}
