package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"saaf"
	"saaf/scrub"
	"saaf/store"
	"saaf/web"
)

// registryStatus is what the status command prints.
type registryStatus struct {
	State         string           `json:"state"`
	ID            saaf.SnapshotID  `json:"id,omitzero"`
	EffectiveDate saaf.Date        `json:"effective_date,omitzero"`
	AgeDays       *int             `json:"age_days"`
	Mode          saaf.ImportMode  `json:"mode,omitempty"`
	SHA256        *saaf.SHA256     `json:"sha256"`
	BaseSHA256    saaf.SHA256      `json:"base_sha256,omitzero"` // of the file that a delta stands on
	Numbers       int64            `json:"numbers"`
	Partial       int64            `json:"partial_numbers"`
	Rows          int64            `json:"rows"`
	Malformed     int64            `json:"malformed"`
	Conflicts     int64            `json:"conflicts"`
	Overridden    []string         `json:"overridden,omitempty"`
	Override      string           `json:"override_reason,omitempty"`
	Actor         string           `json:"actor,omitempty"`
	ActivatedAt   string           `json:"activated_at,omitempty"`
	AllChecked    bool             `json:"all_leads_checked"`
	Recheck       *recheckStatus   `json:"recheck"` // null when all leads are checked
	Advice        string           `json:"advice,omitempty"`
	Kept          []keptSnapshot   `json:"kept"`              // the active one, then those one can go back to
	Pending       []saaf.SHA256    `json:"pending,omitempty"` // newest files of snapshots that servers prepare for, before they become active
	Servers       []registryServer `json:"servers"`
}

// recheckStatus is how far the re-check of all leads by the active snapshot is.
type recheckStatus struct {
	CampaignsDone  int64 `json:"campaigns_done"`
	CampaignsTotal int64 `json:"campaigns_total"` // 0 before it has begun
	LeadsChanged   int64 `json:"leads_changed"`
}

type keptSnapshot struct {
	ID            saaf.SnapshotID `json:"id"`
	EffectiveDate saaf.Date       `json:"effective_date"`
	AgeDays       int             `json:"age_days"`
	Mode          saaf.ImportMode `json:"mode"`
	Numbers       int64           `json:"numbers"`
}

type registryServer struct {
	ID       saaf.ServerID   `json:"id"`
	PID      int             `json:"pid"`
	Host     string          `json:"host"`
	Address  string          `json:"address"`
	Snapshot saaf.SnapshotID `json:"snapshot,omitzero"`
	Problem  string          `json:"problem,omitempty"`
	Prepared *bool           `json:"prepared,omitempty"` // for what is pending; absent when nothing is
	Fetched  int64           `json:"fetched_bytes,omitempty"`
}

func (c *registryStatusCmd) Run(ctx context.Context, con *console) error {
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		reg, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		view, err := c.activeView(ctx, con, st, reg, c.RegistryMaxAge)
		if err != nil {
			return err
		}
		f := view.Freshness(time.Now())
		v := registryStatus{State: f.State.String(), Advice: scrub.Advice(f), Kept: []keptSnapshot{}, Servers: []registryServer{}}
		if s := reg.Active; s != nil {
			v.ID, v.EffectiveDate, v.AgeDays = s.ID, s.EffectiveDate, new(wholeDays(f.Age))
			v.Mode, v.SHA256, v.BaseSHA256, v.Numbers, v.Partial = s.Mode, &s.SHA256, s.BaseSHA256, s.Numbers, s.PartialNumbers
			v.Rows, v.Malformed, v.Conflicts = s.Rows, s.Malformed, s.Conflicts
			v.Overridden, v.Override, v.Actor = s.Overridden, s.OverrideReason, s.Actor
			v.ActivatedAt, v.AllChecked = reg.ActivatedAt.Format(web.TimeLayout), reg.AllChecked()
			v.Recheck = recheckOf(&reg)
		}
		kept, err := scrub.Kept(ctx, st, c.registryDir())
		if err != nil {
			return err
		}
		for _, s := range kept {
			v.Kept = append(v.Kept, keptSnapshot{s.ID, s.EffectiveDate, wholeDays(time.Since(s.EffectiveDate.Start())), s.Mode, s.Numbers})
		}
		if v.Pending, err = pendingSnapshots(ctx, st); err != nil {
			return err
		}
		servers, _, err := st.Running(ctx)
		if err != nil {
			return err
		}
		for i := range servers {
			v.Servers = append(v.Servers, showServer(&servers[i], v.Pending))
		}
		return con.result(v, func(w io.Writer) { printStatus(w, &v) })
	})
}

// pendingSnapshots are the newest files of the snapshots that are about to become the
// active one.
func pendingSnapshots(ctx context.Context, st *store.Store) (list []saaf.SHA256, err error) {
	if !st.Shared() {
		return nil, nil
	}
	uploads, err := st.Uploads(ctx)
	for _, u := range uploads {
		if u.Pending {
			list = append(list, u.SHA256)
		}
	}
	return list, err
}

func showServer(sv *store.Server, pending []saaf.SHA256) registryServer {
	v := registryServer{ID: sv.ID, PID: sv.PID, Host: sv.Host, Address: sv.Address, Snapshot: sv.Snapshot, Problem: sv.Problem, Fetched: sv.Fetched}
	if len(pending) > 0 {
		v.Prepared = new(!slices.ContainsFunc(pending, func(sha saaf.SHA256) bool { return !sv.HasPrepared(sha) }))
	}
	return v
}

// recheckOf is the re-check that is under way, nil when there is none.
func recheckOf(reg *saaf.RegistryState) *recheckStatus {
	if reg.AllChecked() {
		return nil
	}
	if reg.Sweep.Activation != reg.Activation {
		return new(recheckStatus)
	}
	return &recheckStatus{reg.Sweep.Done, reg.Sweep.Total, reg.Sweep.Changed}
}

// words says how far the re-check is.
func (r *recheckStatus) words() string {
	switch {
	case r == nil:
		return "all"
	case r.CampaignsTotal == 0:
		return "not all yet: the re-check has not begun; a running server does it"
	}
	return fmt.Sprintf("re-checking: %s of %s campaigns, %s leads changed",
		thousands(r.CampaignsDone), thousands(r.CampaignsTotal), thousands(r.LeadsChanged))
}

func printStatus(w io.Writer, v *registryStatus) {
	rows := [][]string{{"state", v.State}}
	if v.ID != 0 {
		rows = append(rows,
			[]string{"snapshot", v.ID.String()},
			[]string{"dated", fmt.Sprintf("%s, %s old", v.EffectiveDate, dayCount(*v.AgeDays))},
			[]string{"numbers", fmt.Sprintf("%s, of these %s with a list of categories", thousands(v.Numbers), thousands(v.Partial))},
			[]string{"made from", fmt.Sprintf("%s, %s rows, %s malformed, %s conflicts", v.Mode, thousands(v.Rows), thousands(v.Malformed), thousands(v.Conflicts))},
			[]string{"sha256", v.SHA256.String()},
			[]string{"activated", v.ActivatedAt + " by " + v.Actor})
		if v.Override != "" {
			rows = append(rows, []string{"overridden", strings.Join(v.Overridden, ", ") + ": " + v.Override})
		}
		rows = append(rows, []string{"leads re-checked", v.Recheck.words()})
	}
	for _, k := range v.Kept[min(1, len(v.Kept)):] {
		rows = append(rows, []string{"kept behind it", fmt.Sprintf("%s, %s dated %s, %s old, %s numbers", k.ID, k.Mode, k.EffectiveDate, dayCount(k.AgeDays), thousands(k.Numbers))})
	}
	for _, sha := range v.Pending {
		rows = append(rows, []string{"pending", sha.String()})
	}
	if len(v.Servers) == 0 {
		rows = append(rows, []string{"servers", "none running"})
	}
	for _, s := range v.Servers {
		answers := "answers unknown"
		if s.Snapshot != 0 {
			answers = "answers from " + s.Snapshot.String()
		}
		if s.Problem != "" {
			answers += ": " + s.Problem
		}
		switch {
		case s.Prepared != nil && *s.Prepared:
			answers += ", has prepared the pending snapshot"
		case s.Prepared != nil:
			answers += fmt.Sprintf(", has not prepared the pending snapshot yet (%s bytes fetched)", thousands(s.Fetched))
		}
		rows = append(rows, []string{"server", fmt.Sprintf("%s (pid %d on %s) %s", s.Address, s.PID, s.Host, answers)})
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%-17s %s\n", row[0], row[1])
	}
	if v.Advice != "" {
		fmt.Fprintln(w, v.Advice)
	}
}
