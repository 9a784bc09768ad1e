package saaf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
)

// The hashes are in ledgers and suppression lists for years: they must never come
// out otherwise. This is their definition, written the long way.
func referenceHash(pepper Pepper, tenant TenantID, p Phone) string {
	mac := func(key, text []byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(text)
		return m.Sum(nil)
	}
	key := mac(pepper[:], binary.BigEndian.AppendUint64([]byte("saaf tenant pepper\x00"), uint64(tenant)))
	return hex.EncodeToString(mac(key, []byte(p.National())))[:32]
}

func TestPhoneHash(t *testing.T) {
	t.Parallel()
	seen := map[PhoneHash]string{}
	for _, pepper := range []Pepper{{}, {1}, {31: 1}} {
		for _, tenant := range []TenantID{0, 1, 1 << 60} {
			h := pepper.Hasher(tenant)
			for _, p := range []Phone{9_876_543_210, 9_876_543_211, 6_000_000_000, 1_123_456_789} {
				got := h.Hash(p)
				if want := referenceHash(pepper, tenant, p); got.String() != want {
					t.Errorf("%x, %d, %s: %s, want %s", pepper[0], tenant, p.National(), got, want)
				}
				name := fmt.Sprint(pepper[:], tenant, p.National())
				if was := seen[got]; was != "" {
					t.Errorf("%s and %s have the same hash", was, name)
				}
				seen[got] = name
			}
		}
	}
	if got := (Pepper{}).Hasher(7).Hash(9_876_543_210).String(); got != "fbf4707028dddb04fcbea9ca812b2e6d" {
		t.Errorf("a hash that is in ledgers came out as %s", got)
	}
}

func TestPhoneHasherIsSharedByManyGoroutines(t *testing.T) {
	t.Parallel()
	h := Pepper{1}.Hasher(2)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 200 {
				p := Phone(6_000_000_000 + g*1000 + n)
				if got, want := h.Hash(p).String(), referenceHash(Pepper{1}, 2, p); got != want {
					t.Errorf("%s: %s, want %s", p.National(), got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestPhoneHashAsText(t *testing.T) {
	t.Parallel()
	want := PhoneHash{0, 1, 0xff}
	text, err := want.MarshalText()
	if err != nil || string(text) != "0001ff"+"00000000000000000000000000" {
		t.Errorf("%s, %v", text, err)
	}
	var got PhoneHash
	if err := got.UnmarshalText(text); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	for _, s := range []string{"", "00", string(text[1:]), string(text) + "0", "x" + string(text[1:])} {
		if err := got.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("%q is a hash", s)
		}
	}
}

func TestPepperIsNotPrinted(t *testing.T) {
	t.Parallel()
	p := Pepper{0xab, 0xcd}
	for _, verb := range []string{"%v", "%s", "%+v"} {
		if got := fmt.Sprintf(verb, p); got != "[redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if p.Fingerprint() == (Pepper{0xab}).Fingerprint() || p.Fingerprint() == sha256.Sum256(p[:]) {
		t.Error("the fingerprint does not tell peppers apart, or is their bare hash")
	}
}

// BenchmarkPhoneHash is what the evidence costs each lead before the writer sees it.
func BenchmarkPhoneHash(b *testing.B) {
	h := Pepper{1}.Hasher(2)
	b.ReportAllocs()
	for p := Phone(6_000_000_000); b.Loop(); p++ {
		h.Hash(p)
	}
}
