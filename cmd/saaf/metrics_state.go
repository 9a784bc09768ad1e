package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"saaf/dnd"
	"saaf/store"
)

// stateMetrics are read from the server when somebody asks. Those whose subject is
// not there, as the age when there is no registry, are left out.
type stateMetrics struct {
	server *server
	mu     sync.Mutex
	last   store.Gauges // guarded by mu; what was counted last
}

// countLimit is how long the counts may take.
const countLimit = 5 * time.Second

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("saaf_"+name, help, labels, nil)
}

var (
	registryStateDesc   = describe("registry_state", "1 for the state of the registry that this server answers from: fresh, warn, stale or none.", "state")
	registryAgeDesc     = describe("registry_age_seconds", "Age of the registry that this server answers from, counted from its effective date.")
	registryDateDesc    = describe("registry_effective_date_seconds", "Start of the effective date of the registry that this server answers from, as a Unix time.")
	registryProblemDesc = describe("registry_problem", "1 when this server cannot use the active snapshot and answers unknown.")
	registryNumbersDesc = describe("registry_numbers", "Numbers in the active snapshot.")
	activationsDesc     = describe("registry_activations_total", "Imports and roll-backs that made a snapshot the active one.")
	importsDesc         = describe("registry_imports_waiting", "Imports over the API that wait or run.")
	recheckPendingDesc  = describe("recheck_pending", "1 while leads are not yet re-checked by the active snapshot.")
	recheckDoneDesc     = describe("recheck_campaigns_done", "Campaigns that the re-check for the active snapshot has been through.")
	recheckTotalDesc    = describe("recheck_campaigns", "Campaigns that the re-check for the active snapshot goes through.")
	recheckChangedDesc  = describe("recheck_leads_changed", "Leads whose verdict the re-check for the active snapshot has changed.")
	uncheckedDesc       = describe("leads_unchecked", "Unfinished leads that no registry has answered for.")
	suppressionsDesc    = describe("suppressions", "Opt-outs that block, of all tenants and of the deployment.")
	queueJobsDesc       = describe("store_queue_jobs", "Writes that wait for the store: small ones of up to 8 leads, and bulk.", "size")
	queueLeadsDesc      = describe("store_queue_bulk_leads", "Leads in the bulk writes that wait for the store.")
	phoneCampaignsDesc  = describe("store_phone_campaigns", "Campaigns whose phones the embedded store has in memory.")
	phoneMemoryDesc     = describe("store_phone_memory_bytes", "Memory that the phones of campaigns take in the embedded store.")
	logBytesDesc        = describe("store_log_bytes", "Size of the write-ahead log of the embedded store.")
	fullDesc            = describe("store_full", "1 when writes were refused in the last 30 seconds because the disk of the store is full.")
	fullRefusedDesc     = describe("store_full_refused_total", "Writes that were refused because the disk of the store is full.")
	readableDesc        = describe("store_readable", "1 when the store answered while this was read.")
	ledgerDesc          = describe("ledger_entries", "Number of the last entry of the ledger.")
	checkpointDesc      = describe("checkpoint_age_seconds", "Time since the last signed checkpoint of the ledger.")
)

// Describe sends nothing: what is collected is checked when it is.
func (m *stateMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the state of the server and of the store.
func (m *stateMetrics) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	st := m.server.scrub.Status(now)
	for _, state := range []dnd.State{dnd.Fresh, dnd.Warn, dnd.Stale, dnd.None} {
		gauge(registryStateDesc, oneIf(state.String() == st.State), state.String())
	}
	gauge(registryProblemDesc, oneIf(st.Problem != ""))
	if st.EffectiveDate != 0 {
		gauge(registryAgeDesc, st.Age.Seconds())
		gauge(registryDateDesc, float64(st.EffectiveDate.Start().Unix()))
	}
	small, bulk, leads := m.server.store.Queue()
	gauge(queueJobsDesc, float64(small), "small")
	gauge(queueJobsDesc, float64(bulk), "bulk")
	gauge(queueLeadsDesc, float64(leads))
	if e, ok := m.server.store.EmbeddedGauges(); ok {
		gauge(phoneCampaignsDesc, float64(e.Campaigns))
		gauge(phoneMemoryDesc, float64(e.PhoneMemory))
		gauge(logBytesDesc, float64(e.LogBytes))
	}
	full, refused := m.server.store.Full()
	gauge(fullDesc, oneIf(full))
	out <- prometheus.MustNewConstMetric(fullRefusedDesc, prometheus.CounterValue, float64(refused))
	g, err := m.count()
	gauge(readableDesc, oneIf(err == nil))
	if err != nil {
		m.server.cfg.Log.Warn("the store could not be counted for /metrics", "error", err)
		return
	}
	m.collectCounts(out, gauge, &g, now)
}

func (m *stateMetrics) collectCounts(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string), g *store.Gauges, now time.Time) {
	reg := &g.Registry
	out <- prometheus.MustNewConstMetric(activationsDesc, prometheus.CounterValue, float64(reg.Activation))
	gauge(importsDesc, float64(g.Imports))
	gauge(uncheckedDesc, float64(g.Unchecked))
	gauge(suppressionsDesc, float64(g.Suppressions))
	gauge(ledgerDesc, float64(g.Entries))
	if !g.CheckpointAt.IsZero() {
		gauge(checkpointDesc, now.Sub(g.CheckpointAt).Seconds())
	}
	gauge(recheckPendingDesc, oneIf(reg.Active != nil && !reg.AllChecked()))
	if reg.Active != nil {
		gauge(registryNumbersDesc, float64(reg.Active.Numbers))
	}
	if reg.Active != nil && reg.Sweep.Activation == reg.Activation {
		gauge(recheckDoneDesc, float64(reg.Sweep.Done))
		gauge(recheckTotalDesc, float64(reg.Sweep.Total))
		gauge(recheckChangedDesc, float64(reg.Sweep.Changed))
	}
}

// count reads the counts of the store.
func (m *stateMetrics) count() (store.Gauges, error) {
	ctx, cancel := context.WithTimeout(context.Background(), countLimit)
	defer cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	g, err := m.server.store.Gauges(ctx, m.last)
	if err == nil {
		m.last = g
	}
	return g, err
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
