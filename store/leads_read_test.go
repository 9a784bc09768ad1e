package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"saaf"
)

// Every filter and every pair of filters finds what a walk over all leads finds.
func TestLeadFilters(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		snap := b.activate(20_000)
		reasons := []saaf.VerdictReason{saaf.NotRegistered, saaf.FullBlock, saaf.RegistryUnavailable, saaf.PartialBlock, saaf.RegistryStale}
		for n := range 20 {
			l := NewLead{Phone: phone(n), Verdict: verdict(reasons[n%5], snap)}
			if n%3 > 0 {
				l.Input.ExternalID = new(fmt.Sprintf("crm-%d", n%3))
			}
			b.add(b.campaign, l)
			b.add(b.newCampaign(b.tenant, saaf.Live), l) // never to be seen
			b.pass(time.Minute)
		}
		all := b.all(b.campaign)
		if len(all) != 20 {
			t.Fatalf("%d leads", len(all))
		}
		b.force(b.campaign, all[1].ID, saaf.LeadHeld, verdict(saaf.HeldAfterBlock, snap))
		all = b.all(b.campaign)
		slices.Reverse(all)

		options := filterOptions(all[8].CreatedAt)
		for i, one := range options {
			for j, two := range options[i:] {
				if j > 0 && one.member == two.member {
					continue
				}
				var f LeadFilter
				one.set(&f)
				two.set(&f)
				var want, page []saaf.Lead
				for _, l := range all {
					if one.match(l) && two.match(l) {
						want = append(want, l)
						if l.ID < all[10].ID && len(page) < 4 {
							page = append(page, l)
						}
					}
				}
				name := fmt.Sprintf("%s %v and %s %v", one.member, one.value, two.member, two.value)
				got, err := b.Leads(t.Context(), b.tenant, b.campaign, f, 0, 100)
				b.must(err)
				b.equal(name, want, got)
				got, err = b.Leads(t.Context(), b.tenant, b.campaign, f, saaf.Cursor(all[10].ID), 4)
				b.must(err)
				b.equal(name+", a page", page, got)
			}
		}
	})
}

// filterOption is one value of one member of a filter, and which leads it means.
type filterOption struct {
	member string
	value  any
	set    func(*LeadFilter)
	match  func(saaf.Lead) bool
}

func filterOptions(middle time.Time) (list []filterOption) {
	for _, status := range []saaf.LeadStatus{saaf.LeadPending, saaf.LeadDND, saaf.LeadHeld, saaf.LeadFailed} {
		list = append(list, filterOption{"status", status,
			func(f *LeadFilter) { f.Status = &status },
			func(l saaf.Lead) bool { return l.Status == status }})
	}
	for _, clean := range []bool{true, false} {
		list = append(list, filterOption{"clean", clean,
			func(f *LeadFilter) { f.Clean = &clean },
			func(l saaf.Lead) bool { return l.Verdict.Reason.Clean() == clean }})
	}
	for _, p := range []saaf.Phone{phone(7), phone(99)} {
		list = append(list, filterOption{"phone", p,
			func(f *LeadFilter) { f.Phone = &p },
			func(l saaf.Lead) bool { return l.Phone == p }})
	}
	for _, id := range []string{"crm-1", "CRM-1", ""} {
		list = append(list, filterOption{"external id", id,
			func(f *LeadFilter) { f.ExternalID = &id },
			func(l saaf.Lead) bool { return l.ExternalID != nil && *l.ExternalID == id }})
	}
	for _, at := range []time.Time{middle, middle.Add(time.Millisecond), time.UnixMilli(0)} {
		list = append(list,
			filterOption{"created after", at,
				func(f *LeadFilter) { f.CreatedAfter = &at },
				func(l saaf.Lead) bool { return !l.CreatedAt.Before(at) }},
			filterOption{"created before", at,
				func(f *LeadFilter) { f.CreatedBefore = &at },
				func(l saaf.Lead) bool { return l.CreatedAt.Before(at) }})
	}
	return list
}

// A reader that pages gets every lead that was there when it began, once and
// newest first, though leads are added between its pages.
func TestLeadPagesWhileLeadsAreAdded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, size := range []int{1, 7, 53, 54} {
		campaign := b.newCampaign(b.tenant, saaf.Live)
		b.add(campaign, leads(0, 53)...)
		want := b.all(campaign)
		slices.Reverse(want)
		var got []saaf.Lead
		below := saaf.Cursor(0)
		for next := 100; ; next += 3 {
			page, err := b.Leads(t.Context(), b.tenant, campaign, LeadFilter{}, below, size)
			b.must(err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			below = saaf.Cursor(page[len(page)-1].ID)
			b.add(campaign, leads(next, next+3)...)
		}
		b.equal(fmt.Sprint("pages of ", size), want, got)
	}
}

func TestLeadOfSomebodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.add(b.campaign, leads(0, 1)...).Leads[0].ID
	other := b.newCampaign(b.tenant, saaf.Live)
	otherID := b.add(other, leads(0, 1)...).Leads[0].ID
	stranger := b.newTenant("Stranger")
	for _, who := range []struct {
		name     string
		tenant   saaf.TenantID
		campaign saaf.CampaignID
		id       saaf.LeadID
	}{
		{"another tenant", stranger, b.campaign, id},
		{"no tenant", 0, b.campaign, id},
		{"another campaign", b.tenant, other, id},
		{"lead of another campaign", b.tenant, b.campaign, otherID},
		{"no campaign", b.tenant, 0, id},
		{"no such lead", b.tenant, b.campaign, id + 1},
	} {
		l, err := b.Lead(t.Context(), who.tenant, who.campaign, who.id)
		if err != error(saaf.ErrLeadNotFound) || l.ID != 0 {
			t.Errorf("%s: %v, %v; want ErrLeadNotFound itself", who.name, l.ID, err)
		}
	}
	for _, tenant := range []saaf.TenantID{stranger, 0} {
		list, err := b.Leads(t.Context(), tenant, b.campaign, LeadFilter{}, 0, 10)
		b.must(err)
		if len(list) != 0 {
			t.Errorf("tenant %v lists leads that are not its own", tenant)
		}
	}
	mine, err := b.Leads(t.Context(), b.tenant, b.campaign, LeadFilter{}, 0, 10)
	b.must(err)
	if len(mine) != 1 || mine[0].ID != id {
		t.Errorf("the owner lists %v", mine)
	}
}

// A reader that goes away half-way leaves nothing behind on its connection: the next to
// read there sees what was committed since.
func TestReaderGoesAway(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{Readers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	look := func() error {
		return b.read(ctx, func(conn session) error {
			_, err := leadsByPhone(conn, b.campaign, []saaf.Phone{phone(0)})
			return err
		})
	}
	err := b.read(ctx, func(conn session) error {
		half := func() error { cancel(); _, err := ownedCampaign(conn, b.tenant, b.campaign); return err }
		return amongBlocks(conn, func(blockReader) error { return half() }, half)
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the reader that went away was told %v", err)
	}
	if err := look(); !errors.Is(err, context.Canceled) {
		t.Errorf("it came again and was told %v", err)
	}
	b.add(b.campaign, leads(0, 3)...)
	if got := b.all(b.campaign); len(got) != 3 {
		t.Errorf("the next reader sees %d leads of 3", len(got))
	}
}
