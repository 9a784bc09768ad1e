package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"saaf"
	"saaf/client"
)

// engine is one of the two that are measured, with its server.
type engine struct {
	*run
	name    string
	at      place
	keys    []string
	is      *manifest
	srv     *servingChild // nil while none runs
	to      *target
	main    *campaign // that is filled
	fileWas int64     // bytes of the files before there were leads
	empty   []float64 // bulk rates in an empty store
}

// engine measures an engine from its empty store on, and checks what it has stored.
func (r *run) engine(ctx context.Context, name string, at place) (err error) {
	r.say("%s: making a store with a registry of %s numbers", name, thousands(r.Numbers))
	e := &engine{run: r, name: name, at: at}
	tenant, keys, err := at.keys(ctx, singleClients)
	if err != nil {
		return err
	}
	e.keys, e.is = keys, &manifest{Numbers: r.Numbers, Tenant: tenant}
	if _, err := r.command(ctx, at, "registry", "import", r.csv, "--full", "--effective-date", r.today.String()); err != nil {
		return err
	}
	if e.fileWas, err = at.fileBytes(); err != nil {
		return err
	}
	if err := e.start(ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, e.stop())
		if err == nil && !r.Keep {
			err = os.RemoveAll(at.dir)
		}
	}()
	for _, step := range []func(context.Context) error{
		e.measureEmpty, e.measureSingles, e.measureMixed, e.fill, e.measureFilled, e.measureRoom, e.measureStart, e.measureKill, e.verify,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// start starts the server.
func (e *engine) start(ctx context.Context) error {
	srv, err := e.serve(ctx, e.at, filepath.Join(e.dir, e.name+".log"))
	if err != nil {
		return err
	}
	e.srv, e.to = srv, newTarget(srv.URL, e.keys)
	return nil
}

// stop stops the server, if one runs.
func (e *engine) stop() error {
	if e.srv == nil {
		return nil
	}
	srv := e.srv
	e.srv = nil
	e.to.close()
	return srv.end()
}

// campaign makes a campaign.
func (e *engine) campaign(ctx context.Context, name string) (*campaign, error) {
	made, err := client.New(e.srv.URL, e.keys[0]).CreateCampaign(ctx, client.NewCampaign{Name: name, DialMode: saaf.DialModes[0]})
	if err != nil {
		return nil, err
	}
	salt := int64(len(e.is.Campaigns) + 1)
	c := &campaign{ID: made.ID, Salt: salt, seq: newSequence(e.registry, salt)}
	e.is.Campaigns = append(e.is.Campaigns, c)
	return c, nil
}

func (e *engine) add(rows ...Row) {
	for _, r := range rows {
		e.run.add(r.of(e.name))
	}
}

// round is how many leads are in one round.
func (c Config) round() int64 {
	return max(2*bulkClients, min(mostRound, c.Leads/10)/saaf.MaxBulk) * saaf.MaxBulk
}

// singles is how many pushes of one lead are in one round.
func (c Config) singles() int64 { return min(mostSingles, c.Leads/25) }

// bulk pushes a round of bulk requests.
func (e *engine) bulk(ctx context.Context, to *campaign) (took, error) {
	return e.to.send(ctx, wave{to: to, clients: bulkClients, size: saaf.MaxBulk, requests: e.round() / saaf.MaxBulk})
}

// raw is the bare loop of the engine, over one round.
func (e *engine) raw(ctx context.Context) (float64, error) {
	if e.at.url != "" {
		return e.rawUnnest(ctx, e.at, e.round())
	}
	return e.rawLoop(ctx, e.round())
}

func (e *engine) rawWords() string {
	if e.at.url != "" {
		return fmt.Sprintf("against a bare loop of the unnest insert on %d connections", rawConnections)
	}
	return fmt.Sprintf("against a bare loop of the prepared insert, %d leads a transaction", saaf.MaxBulk)
}

// measureEmpty compares bulk pushes with the bare loops, in turns, in a store that has
// little more than nothing.
func (e *engine) measureEmpty(ctx context.Context) error {
	e.say("%s: bulk pushes to an empty store, and the bare loops", e.name)
	var raws, logs, p50s, p99s []float64
	for i := range rounds {
		raw, err := e.raw(ctx)
		if err != nil {
			return err
		}
		log, err := e.rawLog(ctx, e.round())
		if err != nil {
			return err
		}
		c, err := e.campaign(ctx, fmt.Sprintf("empty %d", i))
		if err != nil {
			return err
		}
		if i == 0 {
			e.main = c
		}
		got, err := e.bulk(ctx, c)
		if err != nil {
			return err
		}
		raws, logs, e.empty = append(raws, raw), append(logs, log), append(e.empty, got.rate())
		p50s, p99s = append(p50s, got.p(50)), append(p99s, got.p(99))
	}
	rate := median(e.empty)
	e.rates[e.name] = rate
	e.add(row(1, "bulk", "durable bulk pushes, 500 leads, 8 clients", rate, "leads/s").beside(median(raws)).must(atLeast, 0.70).noted("%s", e.rawWords()))
	e.add(row(2, "bulk_log", "the same", rate, "leads/s").beside(median(logs)).must(atLeast, 0.25).noted("against appending to a file with fdatasync, 500 leads at a time"))
	e.add(row(7, "bulk_p99", "p99 of bulk pushes, 8 clients", median(p99s), "ms").beside(median(p50s)).must(atMost, 3).noted("against their median; the middle one of %d rounds of %d requests", rounds, e.round()/saaf.MaxBulk))
	return nil
}

// measureSingles compares single pushes with a server that does nothing, in turns.
func (e *engine) measureSingles(ctx context.Context) error {
	e.say("%s: single pushes, and an empty handler", e.name)
	c, err := e.campaign(ctx, "singles")
	if err != nil {
		return err
	}
	var empties, rates, p50s, p99s []float64
	for range rounds {
		empty, err := e.emptyHandler(ctx, singleClients, e.singles())
		if err != nil {
			return err
		}
		got, err := e.to.send(ctx, wave{to: c, clients: singleClients, size: 1, requests: e.singles()})
		if err != nil {
			return err
		}
		empties, rates = append(empties, empty), append(rates, got.rate())
		p50s, p99s = append(p50s, got.p(50)), append(p99s, got.p(99))
	}
	e.add(row(3, "single", "durable single pushes, 64 clients", median(rates), "leads/s").beside(median(empties)).must(atLeast, 0.33).noted("against a net/http handler that only reads, by the same client"))
	e.add(row(8, "single_p50", "p50 of single pushes, 64 clients", median(p50s), "ms"))
	e.add(row(8, "single_p99", "p99 of single pushes, 64 clients", median(p99s), "ms").must(atMost, 10))
	return nil
}

// measureMixed pushes bulk and singles at once.
func (e *engine) measureMixed(ctx context.Context) error {
	e.say("%s: both at once", e.name)
	many, err := e.campaign(ctx, "mixed, bulk")
	if err != nil {
		return err
	}
	one, err := e.campaign(ctx, "mixed, single")
	if err != nil {
		return err
	}
	beside, stop := context.WithCancel(ctx)
	defer stop()
	type ended struct {
		took
		error
	}
	done := make(chan ended, 1)
	go func() {
		got, err := e.to.send(beside, wave{to: one, clients: singleClients, size: 1})
		done <- ended{got, err}
	}()
	bulk, err := e.to.send(ctx, wave{to: many, clients: bulkClients, size: saaf.MaxBulk, requests: 2 * e.round() / saaf.MaxBulk})
	stop()
	single := <-done
	if err := errors.Join(err, single.error); err != nil {
		return err
	}
	e.add(row(8, "mixed_single_p50", "p50 of single pushes beside 8 bulk clients", single.p(50), "ms"))
	e.add(row(8, "mixed_single_p99", "p99 of single pushes beside 8 bulk clients", single.p(99), "ms").must(atMost, 25).
		noted("%s a second of them", thousands(int64(single.rate()))))
	e.add(row(8, "mixed_bulk_p50", "p50 of bulk pushes beside 64 single clients", bulk.p(50), "ms"))
	e.add(row(8, "mixed_bulk_p99", "p99 of bulk pushes beside 64 single clients", bulk.p(99), "ms").
		noted("%s leads a second", thousands(int64(bulk.rate()))))
	return nil
}

// fill pushes to the main campaign until it has its leads.
func (e *engine) fill(ctx context.Context) error {
	rest := (e.Leads - e.main.Leads) / saaf.MaxBulk
	e.say("%s: filling one campaign with %s leads", e.name, thousands(e.Leads))
	if rest <= 0 {
		return nil
	}
	sent := func(n int64) {
		if e.Progress != nil {
			e.Progress(e.name+": filling", n, rest*saaf.MaxBulk)
		}
	}
	got, err := e.to.send(ctx, wave{to: e.main, clients: bulkClients, size: saaf.MaxBulk, requests: rest, sent: sent})
	if err != nil {
		return err
	}
	e.say("%s: %s leads a second", e.name, thousands(int64(got.rate())))
	e.add(row(4, "fill", fmt.Sprintf("filling one campaign with %s leads", thousands(e.Leads)), got.rate(), "leads/s"))
	e.add(row(7, "fill_p99", "p99 of bulk pushes while it is filled", got.p(99), "ms").must(atMost, 60).
		noted("median %.3g ms, slowest %.3g ms", got.p(50), got.p(100)))
	return nil
}

// measureFilled compares a lead in the full campaign with one in an empty store.
func (e *engine) measureFilled(ctx context.Context) error {
	e.say("%s: bulk pushes to the full campaign, to new ones, and the bare loop", e.name)
	var full, fresh, raws []float64
	for i := range rounds {
		raw, err := e.raw(ctx)
		if err != nil {
			return err
		}
		got, err := e.bulk(ctx, e.main)
		if err != nil {
			return err
		}
		c, err := e.campaign(ctx, fmt.Sprintf("beside the full one %d", i))
		if err != nil {
			return err
		}
		other, err := e.bulk(ctx, c)
		if err != nil {
			return err
		}
		raws, full, fresh = append(raws, raw), append(full, got.rate()), append(fresh, other.rate())
	}
	perLead := func(rates []float64) float64 { return 1e6 / median(rates) }
	e.add(row(4, "growth", fmt.Sprintf("time for a lead with %s in its campaign", thousands(e.Leads)), perLead(full), "µs").
		beside(perLead(e.empty)).must(atMost, 1.4).noted("against an empty store earlier in the run; in a new campaign at the same time %.3g µs", perLead(fresh)))
	e.add(row(1, "bulk_full", "bulk pushes to the full campaign", median(full), "leads/s").beside(median(raws)).must(atLeast, 0.70).noted("%s", e.rawWords()))
	return nil
}
