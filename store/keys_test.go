package store

import (
	"testing"
	"time"

	"saaf"
)

func TestKeysAreFoundByTheirHash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain := NewKey{
		Key:  saaf.Key{TenantID: b.tenant, Environment: saaf.Test, RateLimit: 600, Prefix: "yt_test_", LastFour: "WXYZ"},
		Hash: KeyHash{9},
	}
	var made []saaf.Key
	for _, k := range []NewKey{newKey(b.tenant, 1), newKey(b.tenant, 2), plain} {
		key, err := b.CreateKey(t.Context(), k)
		b.must(err)
		want := k.Key
		want.ID, want.CreatedAt = key.ID, key.CreatedAt
		b.equal("made", want, key)
		if key.ID == 0 || key.CreatedAt.IsZero() {
			t.Errorf("no id or time: %+v", key)
		}
		found, ok, err := b.KeyByHash(t.Context(), k.Hash)
		b.must(err)
		if !ok {
			t.Errorf("key %s is not found", key.ID)
		}
		b.equal("found", key, found)
		made = append(made, key)
	}
	list, err := b.Keys(t.Context())
	b.must(err)
	b.equal("keys", made, list)

	for _, h := range []KeyHash{{}, {3}, {1, 1}} {
		if found, ok, err := b.KeyByHash(t.Context(), h); ok || err != nil {
			t.Errorf("KeyByHash(%x) = %v, %v, %v", h[:2], found, ok, err)
		}
	}
}

func TestKeysOfNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.CreateKey(t.Context(), newKey(b.tenant+1, 1))
	if saaf.ErrorCode(err) != saaf.NotFound {
		t.Errorf("key for an unknown tenant: %v; want NotFound", err)
	}
	if _, ok, err := b.KeyByHash(t.Context(), KeyHash{1}); ok || err != nil {
		t.Errorf("it is stored: %v, %v", ok, err)
	}
}

func TestRevokeKey(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		key, err := b.CreateKey(t.Context(), newKey(b.tenant, 1))
		b.must(err)
		other, err := b.CreateKey(t.Context(), newKey(b.tenant, 2))
		b.must(err)
		before, err := b.Version(t.Context())
		b.must(err)

		b.pass(time.Hour)
		revokedAt := b.now()
		want := key
		want.RevokedAt = revokedAt
		for range 2 { // the second time changes nothing, an hour later
			revoked, version, err := b.RevokeKey(t.Context(), key.ID, saaf.System)
			b.must(err)
			b.equal("revoked", want, revoked)
			stored, err := b.Version(t.Context())
			b.must(err)
			if version <= before || version != stored {
				t.Errorf("version %d, stored %d, before %d; want it to grow", version, stored, before)
			}
			found, ok, err := b.KeyByHash(t.Context(), KeyHash{1})
			b.must(err)
			if !ok {
				t.Error("a revoked key is not found: nobody can tell why it is refused")
			}
			b.equal("found", want, found)
			b.pass(time.Hour)
		}

		before, err = b.Version(t.Context())
		b.must(err)
		if _, _, err := b.RevokeKey(t.Context(), other.ID+1, saaf.System); saaf.ErrorCode(err) != saaf.NotFound {
			t.Errorf("unknown key: %v; want NotFound", err)
		}
		found, _, err := b.KeyByHash(t.Context(), KeyHash{2})
		b.must(err)
		b.equal("the other key", other, found)
		after, err := b.Version(t.Context())
		b.must(err)
		if after != before {
			t.Errorf("version went from %d to %d though nothing was revoked", before, after)
		}
	})
}
