package store

import (
	"slices"
	"testing"

	"saaf"
)

func TestHashesOfServers(t *testing.T) {
	t.Parallel()
	for _, list := range [][]saaf.SHA256{nil, {{1}}, {{1}, {2}, {3}}} {
		if got := splitHashes(joinHashes(list)); !slices.Equal(got, list) {
			t.Errorf("%v becomes %v", list, got)
		}
		sv := Server{Prepared: list}
		if sv.HasPrepared(saaf.SHA256{1}) != (len(list) > 0) || sv.HasPrepared(saaf.SHA256{9}) {
			t.Errorf("%v", list)
		}
	}
	if got := splitHashes(make([]byte, 33)); len(got) != 1 { // damage is not a panic
		t.Errorf("%v", got)
	}
}

// A server says what it has prepared when it registers and with every heartbeat.
func TestServersSayWhatTheyHavePrepared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine, err := b.RegisterServer(t.Context(), Server{PID: 8, Prepared: []saaf.SHA256{{1}, {2}}, Fetched: 7})
	b.must(err)
	says := func(when string) {
		t.Helper()
		list, err := b.Servers(t.Context())
		b.must(err)
		if len(list) != 1 || !slices.Equal(list[0].Prepared, mine.Prepared) || list[0].Fetched != mine.Fetched {
			t.Errorf("%s: %+v", when, list)
		}
	}
	says("registered")
	mine.Prepared, mine.Fetched = []saaf.SHA256{{3}}, 0
	b.must(b.Beat(t.Context(), mine))
	says("after a heartbeat")
	mine.Prepared = nil
	b.must(b.Beat(t.Context(), mine))
	says("with nothing")
}
