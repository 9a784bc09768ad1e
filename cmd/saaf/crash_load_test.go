package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"saaf/client"
)

// crashLoad is a mixed load on one server: everything that changes leads, at once.
type crashLoad struct {
	*facts
	key       string
	campaigns []string // that last
	workers   []*crasher
	url       string       // of the server
	used      atomic.Int64 // phones that are not of the pool
}

// crasher is one client. It does one thing after the other, and stops at the first that
// gets no answer.
type crasher struct {
	load *crashLoad
	api  *client.Client
	step func(*crasher, context.Context) error
}

func newCrashLoad(key string, campaigns []string) *crashLoad {
	l := &crashLoad{facts: newFacts(), key: key, campaigns: campaigns}
	steps := []func(*crasher, context.Context) error{
		(*crasher).single, (*crasher).single, (*crasher).single, (*crasher).single,
		bulkOf(20), bulkOf(20), bulkOf(150), bulkOf(400),
		(*crasher).eraseAndPush, (*crasher).optOutBetween, (*crasher).deleteCampaign,
	}
	for _, step := range steps {
		l.workers = append(l.workers, &crasher{load: l, step: step})
	}
	return l
}

// run works on the server until it no longer answers. started is called at the first
// answer.
func (l *crashLoad) run(ctx context.Context, started func()) {
	var once sync.Once
	var group sync.WaitGroup
	for _, w := range l.workers {
		w.api = client.New(l.url, l.key)
		group.Go(func() {
			for {
				err := w.step(w, ctx)
				if err != nil {
					if !noAnswer(err) {
						l.fault("an unexpected answer: %v", err)
					}
					return
				}
				once.Do(started)
			}
		})
	}
	group.Wait()
	once.Do(started)
}

// noAnswer reports whether a request failed because the server went away.
func noAnswer(err error) bool {
	_, answered := errors.AsType[*client.Error](err)
	return !answered
}

// answeredWith reports whether the answer was of this status and code.
func answeredWith(err error, status int, code string) bool {
	e, answered := errors.AsType[*client.Error](err)
	return answered && e.Status == status && e.Code == code
}

func (l *crashLoad) campaign() string { return l.campaigns[rand.IntN(len(l.campaigns))] }

// fresh is a phone that nobody has pushed.
func (w *crasher) fresh() int64 {
	n := loadPool + w.load.used.Add(1) - 1
	if n == loadNumbers {
		w.load.fault("the registry of the test does not reach further: raise loadNumbers")
	}
	return loadFrom + n
}

func pooled() int64 { return loadFrom + rand.Int64N(loadPool) }

// single pushes one lead.
func (w *crasher) single(ctx context.Context) error {
	if rand.IntN(2) == 0 {
		_, err := w.push(ctx, w.load.campaign(), pooled())
		return err
	}
	_, err := w.push(ctx, w.load.campaign(), w.fresh())
	return err
}

// push pushes one phone and returns the answer; that of a duplicate has only its id.
func (w *crasher) push(ctx context.Context, campaign string, phone int64) (client.Lead, error) {
	l := w.load
	lead, err := w.api.PushLead(ctx, campaign, client.NewLead{Phone: fmt.Sprint(phone), Name: "Single"})
	switch {
	case err == nil:
		l.stored(campaign, phone, lead.ID, true)
	case answeredWith(err, 409, "duplicate"):
		if e, _ := errors.AsType[*client.Error](err); e.LeadID != "" {
			lead.ID = e.LeadID
			l.stored(campaign, phone, e.LeadID, false)
		}
		err = nil
	case noAnswer(err):
		l.pushUnanswered(askedPush{campaign: campaign, phones: []int64{phone}})
	}
	if err == nil {
		l.pushAnswered()
	}
	return lead, err
}

// bulkOf pushes so many leads: fresh ones, of the pool, and some of them twice.
func bulkOf(n int) func(*crasher, context.Context) error {
	return func(w *crasher, ctx context.Context) error { return w.bulk(ctx, w.load.campaign(), n) }
}

func (w *crasher) bulk(ctx context.Context, campaign string, n int) error {
	l := w.load
	asked := askedPush{campaign: campaign}
	for len(asked.phones) < n {
		switch rand.IntN(8) {
		case 0:
			if len(asked.phones) > 0 {
				asked.phones = append(asked.phones, asked.phones[rand.IntN(len(asked.phones))])
			}
		case 1, 2, 3:
			asked.fresh = append(asked.fresh, w.fresh())
			asked.phones = append(asked.phones, asked.fresh[len(asked.fresh)-1])
		default:
			asked.phones = append(asked.phones, pooled())
		}
	}
	leads := make([]client.NewLead, n)
	for i, phone := range asked.phones {
		leads[i] = client.NewLead{Phone: fmt.Sprint(phone), Name: "Bulk", ExternalID: fmt.Sprint("crm-", phone)}
	}
	res, err := w.api.PushLeads(ctx, campaign, leads)
	if err != nil {
		if noAnswer(err) {
			l.pushUnanswered(asked)
		}
		return err
	}
	if res.Valid+res.Duplicates != n || len(res.Results) != n {
		l.fault("of %d leads %d are valid and %d duplicates", n, res.Valid, res.Duplicates)
		return nil
	}
	for i, row := range res.Results {
		switch {
		case row.ID != nil:
			l.stored(campaign, asked.phones[i], *row.ID, true)
		case slices.Contains(asked.fresh, asked.phones[i]) && !slices.Contains(asked.phones[:i], asked.phones[i]):
			l.fault("%d, which nobody has pushed, is a duplicate in %s", asked.phones[i], campaign)
		case row.LeadID != "":
			l.stored(campaign, asked.phones[i], row.LeadID, false)
		}
	}
	l.pushAnswered()
	return nil
}

// eraseAndPush has a person in two campaigns, erases them, and pushes the same phone again.
func (w *crasher) eraseAndPush(ctx context.Context) error {
	l, phone := w.load, w.fresh()
	in := []string{l.campaign(), l.campaign()}
	for _, campaign := range in {
		if _, err := w.push(ctx, campaign, phone); err != nil {
			return err
		}
	}
	e, err := w.api.Erase(ctx, fmt.Sprint(phone), "asked for it")
	if err != nil {
		if noAnswer(err) {
			l.eraseUnanswered(phone)
		}
		return err
	}
	if want := len(slices.Compact(in)); e.Leads != want {
		l.fault("the erasure of %d found %d leads, want %d", phone, e.Leads, want)
	}
	l.gone(phone)
	if rand.IntN(2) == 0 {
		return nil
	}
	_, err = w.push(ctx, l.campaign(), phone)
	return err
}

// eraseNewest erases the newest lead of all, while nothing else goes on, and pushes two more: they
// must not get its id.
func (l *crashLoad) eraseNewest(ctx context.Context) error {
	w := l.workers[0]
	w.api = client.New(l.url, l.key)
	phone := w.fresh()
	if _, err := w.push(ctx, l.campaigns[0], phone); err != nil {
		return err
	}
	if _, err := w.api.Erase(ctx, fmt.Sprint(phone), "asked for it"); err != nil {
		return err
	}
	l.gone(phone)
	for _, i := range []int{1, 0} { // the blocks of the first campaign still know the id
		if _, err := w.push(ctx, l.campaigns[i], phone); err != nil {
			return err
		}
	}
	return nil
}

// optOutBetween has a person opt out between two pushes.
func (w *crasher) optOutBetween(ctx context.Context) error {
	l, phone := w.load, w.fresh()
	if _, err := w.push(ctx, l.campaigns[0], phone); err != nil {
		return err
	}
	l.optOut(phone, false)
	if _, err := w.api.Suppress(ctx, client.NewSuppression{Phone: fmt.Sprint(phone), Reason: "asked for it"}); err != nil {
		return err
	}
	l.optOut(phone, true)
	lead, err := w.push(ctx, l.campaigns[1], phone)
	if err == nil && (lead.Status != "dnd" || lead.DNDReason != "suppressed") {
		l.fault("%d has opted out and is taken as %s, %s", phone, lead.Status, lead.DNDReason)
	}
	return err
}

// deleteCampaign makes a campaign, fills it and deletes it.
func (w *crasher) deleteCampaign(ctx context.Context) error {
	l := w.load
	made, err := w.api.CreateCampaign(ctx, client.NewCampaign{Name: "short", DialMode: "preview"})
	if err != nil {
		return err
	}
	for range 1 + rand.IntN(3) {
		if err := w.bulk(ctx, made.ID, 100+rand.IntN(300)); err != nil {
			return err
		}
	}
	l.campaignGone(made.ID, false)
	if err := w.api.Do(ctx, "DELETE", "/campaigns/"+made.ID, nil, nil); err != nil {
		return err
	}
	l.campaignGone(made.ID, true)
	if err := w.bulk(ctx, made.ID, 20); err == nil {
		l.fault("%s was deleted and takes leads", made.ID)
	} else if !answeredWith(err, 404, "not_found") && !noAnswer(err) {
		return err
	}
	// The load would otherwise be mostly this.
	select {
	case <-time.After(time.Duration(rand.IntN(100)) * time.Millisecond):
	case <-ctx.Done():
	}
	return nil
}
