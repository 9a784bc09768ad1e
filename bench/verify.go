package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// manifest is what a store must hold after a run.
type manifest struct {
	Numbers   int64         `json:"numbers"`
	Tenant    saaf.TenantID `json:"tenant"`
	Campaigns []*campaign   `json:"campaigns"`
}

const manifestName = "bench.json"

func (m *manifest) save(at place) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(at.dir, manifestName), text, 0o600)
}

// Verify checks once more what a run that kept its files has stored: dir is the data
// directory of one of its engines, url its database or "". It returns what is wrong.
func Verify(ctx context.Context, h *Host, dir, url string) (problems []string, err error) {
	h.begin()
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, fmt.Errorf("name the directory of an engine in what saaf bench --keep has left, as saaf-bench-.../embedded: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	registry, err := dnd.NewSynthetic(synthetic(m.Numbers))
	if err != nil {
		return nil, err
	}
	for _, c := range m.Campaigns {
		c.seq = newSequence(registry, c.Salt)
	}
	h.say("checking %d campaigns, and the ledger", len(m.Campaigns))
	found, err := m.check(ctx, h, place{dir: dir, url: url}, registry)
	return found.problems, interrupted(ctx, err)
}

// findings are what is not as it must be.
type findings struct {
	problems []string
	lost     int64 // acknowledged leads that are not there, or twice
}

func (f *findings) note(format string, args ...any) {
	f.problems = append(f.problems, fmt.Sprintf(format, args...))
}

// check holds a store against the manifest: each campaign lead by lead, its counts, and
// the ledger as saaf audit verify does. No server runs.
func (m *manifest) check(ctx context.Context, h *Host, at place, registry *dnd.Synthetic) (f findings, err error) {
	err = at.inStore(ctx, func(ctx context.Context, st *store.Store) error {
		ids, err := st.CampaignIDs(ctx, m.Tenant)
		if err != nil {
			return err
		}
		if len(ids) != len(m.Campaigns) {
			f.note("there are %d campaigns, not %d", len(ids), len(m.Campaigns))
		}
		for _, c := range m.Campaigns {
			if err := c.check(ctx, st, m.Tenant, registry, &f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return f, err
	}
	if _, err := h.command(ctx, at, "audit", "verify"); err != nil {
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		f.note("the ledger: %v", err)
	}
	return f, nil
}

// acknowledged is how many leads were acknowledged.
func (c *campaign) acknowledged() int64 {
	n := c.Leads
	for _, s := range c.Unanswered {
		n -= s.N
	}
	return n
}

// check holds a campaign against what is known of it.
func (c *campaign) check(ctx context.Context, st *store.Store, tenant saaf.TenantID, registry *dnd.Synthetic, f *findings) error {
	id, ok := saaf.ParseID[saaf.CampaignID](c.ID)
	if !ok {
		return fmt.Errorf("%q is no campaign", c.ID)
	}
	seen := make([]bool, c.Leads)
	var stored, strange, twice, wrong, blocked int64
	for above := saaf.LeadID(0); ; {
		page, err := st.LeadEntries(ctx, id, above)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			stored++
			above = l.Lead
			listed := registry.Entry(l.Phone).Listed
			if l.Reason.Blocked() {
				blocked++
			}
			if l.Reason.Blocked() != listed || !listed && !l.Reason.Clean() {
				wrong++
			}
			switch n, ok := c.seq.index(l.Phone); {
			case !ok || n >= c.Leads:
				strange++
			case seen[n]:
				twice++
			default:
				seen[n] = true
			}
		}
	}
	halves := c.settle(seen)
	missing := int64(0)
	for _, is := range seen {
		if !is {
			missing++
		}
	}
	f.lost += missing + twice
	for _, p := range []struct {
		n    int64
		what string
	}{
		{missing, "acknowledged leads are not there"}, {twice, "leads are there twice"}, {strange, "leads were never sent"},
		{wrong, "leads have a verdict that is not theirs"}, {halves, "requests are stored in part"},
	} {
		if p.n > 0 {
			f.note("%s: %d %s", c, p.n, p.what)
		}
	}
	return c.checkCounts(ctx, st, tenant, id, stored, blocked, f)
}

// settle marks what needs not be there as seen, and counts the requests of which only a
// part is there.
func (c *campaign) settle(seen []bool) (halves int64) {
	for _, s := range c.Unanswered {
		there := int64(0)
		for n := s.From; n < s.From+s.N; n++ {
			if seen[n] {
				there++
			}
			seen[n] = true
		}
		if there != 0 && there != s.N {
			halves++
		}
	}
	return halves
}

// checkCounts holds the counts that the store keeps against the leads that are there.
func (c *campaign) checkCounts(ctx context.Context, st *store.Store, tenant saaf.TenantID, id saaf.CampaignID, stored, blocked int64, f *findings) error {
	rep, err := st.DNDReport(ctx, tenant, saaf.Live, id)
	if err != nil {
		return err
	}
	if n := rep.Leads.Total(); n != stored {
		f.note("%s: %d leads are counted, and %d are there", c, n, stored)
	}
	if n := rep.Leads[saaf.LeadDND]; n != blocked {
		f.note("%s: %d leads are counted as blocked, and %d are", c, n, blocked)
	}
	return nil
}
