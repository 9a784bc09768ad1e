package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"saaf/client"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
)

// rechecker is the server that does the work in the background, -1 for none yet.
func (c *cluster) rechecker() int {
	return slices.IndexFunc(c.servers, func(s *apptest.Server) bool {
		return strings.Contains(s.Log(), "leads are re-checked by this process")
	})
}

// What a server that is killed had to do in the background is done by another one.
func TestWorkOfAKilledServer(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	key := c.fastKey()
	dead := -1
	soon(t, 10*time.Second, "one of them works", func() bool { dead = c.rechecker(); return dead >= 0 })
	if dead < 0 {
		t.FailNow()
	}
	if err := c.servers[dead].Kill(); err != nil {
		t.Fatal(err)
	}
	other := c.api(1-dead, key)
	opt, err := other.Suppress(t.Context(), client.NewSuppression{Phone: "9876543210", Reason: "for a moment",
		ExpiresAt: new(time.Now().Add(2 * time.Second))})
	if err != nil {
		t.Fatal(err)
	}
	soon(t, 30*time.Second, "the opt-out expires", func() bool {
		s, err := other.Suppression(t.Context(), opt.ID)
		return err == nil && s.EndedAt != nil
	})
}

// A key has its rate limit once, however many servers there are.
func TestServersShareRateLimits(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	const limit = 90
	for _, shares := range [][]int{{200, 200}, {200, 0}, {40, 160}} {
		admitted, whole := 0, false
		for !whole { // all of it within one minute of the clock
			admitted, whole = c.hammer(c.key("--rate-limit", fmt.Sprint(limit)), shares)
		}
		if admitted < limit || admitted > limit+limit/32 {
			t.Errorf("of %v requests the servers let %d through, the limit is %d", shares, admitted, limit)
		}
	}
}

// hammer makes so many requests to each server with a key, as fast as they are
// answered. whole is false when a new minute has begun meanwhile.
func (c *cluster) hammer(key string, shares []int) (admitted int, whole bool) {
	c.t.Helper()
	const lanes = 10
	var let atomic.Int64
	minute := time.Now().Unix() / 60
	var group sync.WaitGroup
	for server, n := range shares {
		api := c.api(server, key)
		for range lanes {
			group.Go(func() {
				for range n / lanes {
					_, err := api.Campaigns(c.t.Context(), "")
					if err == nil {
						let.Add(1)
					} else if statusOf(err) != http.StatusTooManyRequests {
						c.t.Error(err)
					}
				}
			})
		}
	}
	group.Wait()
	return int(let.Load()), time.Now().Unix()/60 == minute
}
