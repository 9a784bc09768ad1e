package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
)

// The numbers of the load on clusters: a million for each worker, more than it pushes in
// a hundred rounds. Of the first of them those divisible by three are on the
// registry.
const (
	crashFrom  = 9_000_000_000
	crashRange = 1_000_000
	crashers   = 12
)

func crashListed(n int64) bool { return n%3 == 0 && (n-crashFrom)%crashRange < 60_000 }

// pushed is what one worker knows of its requests. Each worker pushes numbers
// that no other one pushes, so that what is stored can be told apart exactly.
type pushed struct {
	next     int64
	acked    map[string]string // phone to lead id, answered
	inFlight [][]string        // phones of requests without an answer, each all or nothing
}

// pushers are so many workers, each with so many numbers of its own.
func pushers(n int, numbers int64) []pushed {
	workers := make([]pushed, n)
	for i := range workers {
		workers[i] = pushed{next: crashFrom + int64(i)*numbers, acked: make(map[string]string)}
	}
	return workers
}

// killUnderLoad lets every worker push until the server, killed at a random
// moment after the first answer, no longer answers.
func killUnderLoad(t *testing.T, srv *apptest.Server, key, campaign string, workers []pushed) {
	t.Helper()
	answered := make(chan struct{}, 1)
	var group sync.WaitGroup
	for i := range workers {
		w, api := &workers[i], client.New(srv.URL, key)
		size := []int{1, 1, 20, 500}[i%4]
		group.Go(func() {
			for w.push(t.Context(), api, campaign, size) {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
	}
	<-answered
	<-time.After(time.Duration(rand.IntN(250)) * time.Millisecond)
	if err := srv.Kill(); err != nil {
		t.Error(err)
	}
	group.Wait()
}

// push sends one request and reports whether it was answered.
func (w *pushed) push(ctx context.Context, api *client.Client, campaign string, size int) bool {
	phones := make([]string, size)
	leads := make([]client.NewLead, size)
	for i := range phones {
		phones[i] = fmt.Sprint(w.next)
		leads[i] = client.NewLead{Phone: phones[i], Name: "Lead " + phones[i]}
		w.next++
	}
	if size == 1 {
		lead, err := api.PushLead(ctx, campaign, leads[0])
		if err != nil {
			w.inFlight = append(w.inFlight, phones)
			return false
		}
		w.acked[phones[0]] = lead.ID
		return true
	}
	res, err := api.PushLeads(ctx, campaign, leads)
	if err != nil {
		w.inFlight = append(w.inFlight, phones)
		return false
	}
	for _, row := range res.Results {
		if row.ID != nil {
			w.acked[row.Phone] = *row.ID
		}
	}
	return res.Valid == size
}

// storedLeads reads all leads of a campaign by their phones.
func storedLeads(t *testing.T, api *client.Client, campaign string) map[string]client.Lead {
	t.Helper()
	stored := make(map[string]client.Lead)
	err := eachLead(t.Context(), api, campaign, func(l client.Lead) {
		if _, twice := stored[l.Phone]; twice {
			t.Errorf("%s is stored twice", l.Phone)
		}
		stored[l.Phone] = l
	})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// eachLead reads all leads of a campaign.
func eachLead(ctx context.Context, api *client.Client, campaign string, look func(client.Lead)) error {
	for cursor := ""; ; {
		page, err := api.Leads(ctx, campaign, url.Values{"limit": {"200"}}, cursor)
		if err != nil {
			return err
		}
		for _, l := range page.Items {
			look(l)
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

func checkStored(t *testing.T, api *client.Client, campaign string, workers []pushed) {
	t.Helper()
	stored := storedLeads(t, api, campaign)
	acked, whole, expected := 0, 0, 0
	for _, w := range workers {
		acked += len(w.acked)
		for phone, id := range w.acked {
			if stored[phone].ID != id {
				t.Errorf("%s was answered with %s and is stored as %q", phone, id, stored[phone].ID)
			}
		}
		for _, phones := range w.inFlight {
			there := len(phones) - len(slices.DeleteFunc(slices.Clone(phones), func(p string) bool { return stored[p].ID != "" }))
			if there != 0 && there != len(phones) {
				t.Errorf("%d of the %d leads of an unanswered request are stored", there, len(phones))
			}
			if there > 0 {
				whole++
				expected += there
			}
		}
	}
	if expected += acked; len(stored) != expected {
		t.Errorf("%d leads are stored, want %d", len(stored), expected)
	}
	for _, l := range stored {
		if want := map[bool]string{true: "dnd", false: "pending"}[crashListed(phoneNumber(t, l.Phone))]; l.Status != want || !l.DNDChecked {
			t.Errorf("lead %s is %s (%s), want %s", l.Phone, l.Status, l.DNDReason, want)
		}
	}
	counts, err := api.Campaigns(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if c := counts.Items[0].LeadCounts; c["pending"]+c["dnd"] != len(stored) {
		t.Errorf("lead_counts %v do not add up to %d", c, len(stored))
	}
	if acked == 0 {
		t.Error("nothing was answered: the test has tested nothing")
	}
	t.Logf("%d leads answered, %d unanswered requests found stored whole", acked, whole)
}

func phoneNumber(t *testing.T, s string) int64 {
	t.Helper()
	p, reason := saaf.PhonePolicy{}.Parse(s)
	if reason != saaf.ReasonNone {
		t.Fatalf("%q: %s", s, reason)
	}
	return int64(p)
}
