package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"saaf"
	"saaf/client"
	"saaf/store"
)

// check holds what a server has stored against the facts, once it has re-checked all leads by
// a registry that lists as listed says. What was asked and got no answer is a fact afterwards,
// or forgotten.
func (l *crashLoad) check(ctx context.Context, api *client.Client, st *store.Store, listed func(int64) bool) error {
	if err := l.settle(ctx, api); err != nil {
		return err
	}
	stored := make(map[string]map[int64]store.UnfinishedLead)
	for _, campaign := range l.known() {
		leads, err := l.read(ctx, st, campaign)
		if err != nil {
			return err
		}
		stored[campaign] = leads
	}
	l.mu.Lock()
	l.judgeErasures(stored)
	l.judgeAnswered(stored)
	l.judgeUnanswered(stored)
	for campaign, leads := range stored {
		for phone, lead := range leads {
			if l.leads[campaign][phone] == "" {
				l.wrong("%d is stored in %s, and should not be", phone, campaign)
			}
			status, reason := saaf.LeadPending, saaf.NotRegistered
			if l.blocked[phone] {
				status, reason = saaf.LeadDND, saaf.Suppressed
			} else if listed(phone) {
				status, reason = saaf.LeadDND, saaf.FullBlock
			}
			if lead.Status != status || lead.Reason != reason {
				l.wrong("%d in %s is %s and %s, want %s and %s", phone, campaign, lead.Status, lead.Reason, status, reason)
			}
		}
	}
	l.mu.Unlock()
	return l.checkCounts(ctx, api, stored)
}

// settle asks what became of opt-outs and deletions that got no answer, and whether those are
// gone that were answered.
func (l *crashLoad) settle(ctx context.Context, api *client.Client) error {
	for phone, answered := range l.blocked {
		page, err := api.Suppressions(ctx, url.Values{"phone": {fmt.Sprint(phone)}}, "")
		switch {
		case err != nil:
			return err
		case len(page.Items) > 1 || answered && len(page.Items) == 0:
			l.fault("the opt-out of %d is there %d times", phone, len(page.Items))
		case len(page.Items) == 1:
			l.optOut(phone, true)
		default:
			delete(l.blocked, phone)
		}
	}
	for campaign, answered := range l.deleted {
		err := api.Do(ctx, "GET", "/campaigns/"+campaign, nil, nil)
		switch {
		case answeredWith(err, 404, "not_found"):
			l.campaignGone(campaign, true)
		case err != nil:
			return err
		case answered:
			l.fault("%s was deleted and is there", campaign)
		default:
			delete(l.deleted, campaign)
		}
	}
	return nil
}

// known are the campaigns that are there.
func (l *crashLoad) known() []string {
	all := make(map[string]bool)
	for campaign := range l.leads {
		all[campaign] = true
	}
	for _, p := range l.maybe {
		all[p.campaign] = true
	}
	maps.DeleteFunc(all, func(campaign string, _ bool) bool { return l.deleted[campaign] })
	return slices.Sorted(maps.Keys(all))
}

// read reads the leads of a campaign.
func (l *crashLoad) read(ctx context.Context, st *store.Store, campaign string) (map[int64]store.UnfinishedLead, error) {
	id, ok := saaf.ParseID[saaf.CampaignID](campaign)
	if !ok {
		return nil, fmt.Errorf("%q is no campaign", campaign)
	}
	leads := make(map[int64]store.UnfinishedLead)
	for above := saaf.LeadID(0); ; {
		page, err := st.UnfinishedLeads(ctx, id, above, 5000)
		if err != nil || len(page) == 0 {
			return leads, err
		}
		for _, lead := range page {
			above = lead.ID
			if _, twice := leads[int64(lead.Phone)]; twice {
				l.fault("%d is in %s twice", int64(lead.Phone), campaign)
			}
			leads[int64(lead.Phone)] = lead
		}
	}
}

// judgeErasures: one that got no answer has removed all leads of its phone, or none.
func (l *crashLoad) judgeErasures(stored map[string]map[int64]store.UnfinishedLead) {
	for _, phone := range l.erasing {
		known, there := 0, 0
		for campaign, of := range l.leads {
			if of[phone] == "" {
				continue
			}
			known++
			if _, ok := stored[campaign][phone]; ok {
				there++
			}
		}
		switch there {
		case known:
		case 0:
			for _, of := range l.leads {
				delete(of, phone)
			}
		default:
			l.wrong("of the %d leads of %d, whose erasure got no answer, %d are left", known, phone, there)
		}
	}
	l.erasing = nil
}

// judgeAnswered: every lead that was answered is there with its id.
func (l *crashLoad) judgeAnswered(stored map[string]map[int64]store.UnfinishedLead) {
	for campaign, of := range l.leads {
		for phone, id := range of {
			if lead := stored[campaign][phone]; lead.ID.String() != id {
				l.wrong("%d in %s was answered with %s, and is stored as %s", phone, campaign, id, lead.ID)
			}
		}
	}
}

// judgeUnanswered: a push that got no answer is stored whole or not at all.
func (l *crashLoad) judgeUnanswered(stored map[string]map[int64]store.UnfinishedLead) {
	for _, p := range l.maybe {
		if l.deleted[p.campaign] {
			continue
		}
		there := 0
		for _, phone := range p.fresh {
			if _, ok := stored[p.campaign][phone]; ok {
				there++
			}
		}
		if there != 0 && there != len(p.fresh) {
			l.wrong("of the %d new leads of a push without an answer %d are stored", len(p.fresh), there)
		}
		if there > 0 {
			l.lost++
		}
		if l.leads[p.campaign] == nil {
			l.leads[p.campaign] = make(map[int64]string)
		}
		for _, phone := range p.phones {
			lead, ok := stored[p.campaign][phone]
			if !ok || l.leads[p.campaign][phone] != "" {
				continue
			}
			id := lead.ID.String()
			if owner, used := l.owners[id]; used {
				l.wrong("%s was the id of %v and is that of %d in %s", id, owner, phone, p.campaign)
			}
			l.leads[p.campaign][phone], l.owners[id] = id, leadKey{p.campaign, phone}
		}
	}
	l.maybe = nil
}

// checkCounts holds the counts of the campaigns against their leads.
func (l *crashLoad) checkCounts(ctx context.Context, api *client.Client, stored map[string]map[int64]store.UnfinishedLead) error {
	for cursor := ""; ; {
		page, err := api.Campaigns(ctx, cursor)
		if err != nil {
			return err
		}
		for _, c := range page.Items {
			want := make(map[string]int)
			for _, lead := range stored[c.ID] {
				want[lead.Status.String()]++
			}
			for status, n := range c.LeadCounts {
				if n != want[status] {
					l.fault("%s counts %d %s leads, and has %d", c.ID, n, status, want[status])
				}
			}
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}
