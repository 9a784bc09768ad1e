package saaf

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func testCheckpoint() Checkpoint {
	return Checkpoint{Version: 1, Deployment: 4, Seq: 9, At: time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC),
		Heads: []CheckpointHead{{Writer: 1, Seq: 77, Entry: 1234, Hash: SHA256{1, 2, 3}}}, Before: SHA256{9}}
}

func sign(t testing.TB, c Checkpoint, key ed25519.PrivateKey) SignedCheckpoint {
	t.Helper()
	s, err := c.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCheckpointsComeBackAsTheyWereSigned(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Checkpoint{Version: 1, Deployment: DeploymentID(rapid.Int64Min(1).Draw(t, "deployment")), Seq: rapid.Int64().Draw(t, "seq"),
			At: time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "at")).UTC()}
		for range rapid.IntRange(0, 3).Draw(t, "heads") {
			want.Heads = append(want.Heads, CheckpointHead{Writer: rapid.Int64().Draw(t, "writer"), Seq: rapid.Int64().Draw(t, "seq"),
				Entry: EntryID(rapid.Int64Min(1).Draw(t, "entry"))})
		}
		signed, err := want.Sign(testKey)
		if err != nil {
			t.Fatal(err)
		}
		letter := "Dear auditor,\r\n\r\n" + strings.ReplaceAll(signed.String(), "\n", rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end")) + "Yours\n"
		read, err := ParseCheckpoint(letter)
		if diff := cmp.Diff(signed, read); err != nil || diff != "" {
			t.Fatalf("printed and read: %v\n%s", err, diff)
		}
		got, err := read.Open(publicOf(testKey))
		want.Key = EncodeKey(publicOf(testKey))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("opened: %v\n%s", err, diff)
		}
	})
}

func TestCheckpointOfAnotherKey(t *testing.T) {
	t.Parallel()
	other := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	s := sign(t, testCheckpoint(), other) // names its own key, which proves nothing
	if _, err := s.Open(publicOf(testKey)); err == nil {
		t.Error("a checkpoint that somebody else signed is opened")
	}
	future := testCheckpoint()
	future.Version = 2
	s = sign(t, future, testKey)
	if _, err := s.Open(publicOf(testKey)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a checkpoint of another form: %v", err)
	}
	key, err := DecodeKey(" " + EncodeKey(publicOf(testKey)) + "\n")
	if err != nil || !key.Equal(publicOf(testKey)) {
		t.Errorf("the key as text: %v, %v", key, err)
	}
	for _, s := range []string{"", "x", EncodeKey(publicOf(testKey))[:40], EncodeKey(append(publicOf(testKey), 0))} {
		if _, err := DecodeKey(s); err == nil {
			t.Errorf("%q is a key", s)
		}
	}
}

// Whatever byte of the text or the signature is changed, it does not open; and
// whatever of the printed form, it does not read, or reads as what it was.
func TestDamagedCheckpoints(t *testing.T) {
	t.Parallel()
	s := sign(t, testCheckpoint(), testKey)
	for i := range len(s.Text) + len(s.Signature) {
		damaged := SignedCheckpoint{bytes.Clone(s.Text), bytes.Clone(s.Signature)}
		if i < len(s.Text) {
			damaged.Text[i] ^= 1
		} else {
			damaged.Signature[i-len(s.Text)] ^= 1
		}
		if _, err := damaged.Open(publicOf(testKey)); err == nil {
			t.Errorf("byte %d was changed and it opens", i)
		}
	}
	printed := s.String()
	for i := range printed {
		damaged := []byte(printed)
		damaged[i] ^= 1
		if read, err := ParseCheckpoint(string(damaged)); err == nil && !cmp.Equal(read, s) {
			t.Errorf("byte %d of the printed form was changed and it reads as something else", i)
		}
	}
	for _, text := range []string{"", checkpointBegin, checkpointBegin + "\n" + checkpointEnd, printed[:len(printed)/2],
		strings.ReplaceAll(printed, "\n", " "), strings.Replace(printed, "hash ", "", 1), strings.Replace(printed, "signature ", "", 1)} {
		if _, err := ParseCheckpoint(text); err == nil || !strings.Contains(err.Error(), checkpointBegin) {
			t.Errorf("%q: %v; want the sentence that says how a checkpoint begins", text, err)
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	s := sign(f, testCheckpoint(), testKey)
	f.Add(s.String())
	f.Add("before\r\n" + strings.ReplaceAll(s.String(), "\n", "\r\n") + "behind")
	f.Add(strings.Replace(s.String(), "signature ", "signature =", 1))
	f.Add(checkpointBegin + checkpointEnd)
	f.Add(checkpointBegin + "\n\n\n\n" + checkpointEnd)
	f.Fuzz(func(t *testing.T, text string) {
		read, err := ParseCheckpoint(text)
		if err != nil {
			return
		}
		again, err := ParseCheckpoint(read.String())
		if err != nil || again.Hash() != read.Hash() {
			t.Fatalf("printed again: %v", err)
		}
		if _, err := read.Open(publicOf(testKey)); err == nil && !bytes.Equal(read.Text, s.Text) {
			t.Fatal("opens though it was never signed")
		}
	})
}
