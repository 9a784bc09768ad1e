package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"saaf"
)

// Where the tables are spread by campaign, a statement finds its rows on one machine, or
// it is a read that asks all of them, holds no locks, and stands here with its reason.

// fanOuts are the statements that ask every partition.
var fanOuts = map[string]string{
	"sqlUnfinished":         whichHaveWork,
	"sqlUnchecked":          whichHaveWork,
	"sqlDeletedCampaigns":   whichHaveWork,
	"sqlEveryonesCampaigns": whichHaveWork,
	"sqlCampaignsThere":     whichHaveWork,
	"sqlCampaignsOfTenant":  whichHaveWork,
	"sqlEveryCampaign":      whichHaveWork,
	"sqlCampaignIDs":        "the campaigns of a tenant",
	"sqlCampaigns":          "the campaigns of a tenant",
	"sqlGauges":             "totals of the deployment",
	"sqlTenantEntries":      "the evidence of a tenant about one number",
	"sqlLedgerAfter":        chainsOfAll,
	"sqlLedgerAt":           chainsOfAll,
	"sqlChainHead":          chainsOfAll,
	"sqlChainAfter":         chainsOfAll,
	"sqlChainEntry":         chainsOfAll,

	"sqlAllCampaigns":    embeddedAlone,
	"sqlTenantCampaigns": embeddedAlone,
	"sqlBusyCampaigns":   embeddedAlone,
}

const (
	whichHaveWork = "which campaigns have work"
	chainsOfAll   = "a chain of the ledger runs through all campaigns"
	embeddedAlone = "run by the embedded engine alone"
)

// notPostgres are the files with statements of SQLite alone.
var notPostgres = regexp.MustCompile(`^(sqlite_|scrub_pages|write_back|migrate)`)

// spreadTable finds the tables that are spread, and their partitions.
var spreadTable = regexp.MustCompile(`\b(` + strings.Join(slices.Sorted(maps.Keys(spread)), "|") + `)(_\d+)?\b`)

// planned is what a plan does with the tables that are spread.
type planned struct {
	partitions map[string][]string // those it looks into, by table
	writes     bool
	locks      bool // rows
}

// wide is why the plan is not one of a single partition, "" when it is.
func (p *planned) wide() string {
	for table, list := range p.partitions {
		if len(list) > 1 {
			return fmt.Sprintf("%d partitions of %s", len(list), table)
		}
	}
	return ""
}

// planOf is how PostgreSQL runs a statement: with the plan for these arguments, or with
// the one for any.
func planOf(t *testing.T, conn *pgx.Conn, sql, mode string, id saaf.CampaignID) planned {
	t.Helper()
	const name = "looked_at"
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("SET plan_cache_mode = " + mode)
	exec("PREPARE " + name + " AS " + sql)
	defer exec("DEALLOCATE " + name)
	var args []string
	for _, kind := range parameterTypes(t, conn, name) {
		switch kind {
		case "bigint":
			args = append(args, fmt.Sprint(int64(id)))
		case "bigint[]":
			args = append(args, "'{1,2}'")
		default:
			args = append(args, "NULL")
		}
	}
	execute := "EXECUTE " + name
	if len(args) > 0 {
		execute += " (" + strings.Join(args, ", ") + ")"
	}
	var text []byte
	err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+execute, pgx.QueryExecModeSimpleProtocol).Scan(&text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, sql)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		t.Fatalf("%v: the plan %s", err, text)
	}
	p := planned{partitions: map[string][]string{}}
	plans[0].Plan.look(&p)
	return p
}

// parameterTypes are those of a prepared statement.
func parameterTypes(t *testing.T, conn *pgx.Conn, name string) (types []string) {
	t.Helper()
	const parameters = `SELECT array(SELECT format_type(t, NULL) FROM unnest(parameter_types) AS t) FROM pg_prepared_statements WHERE name = $1`
	if err := conn.QueryRow(t.Context(), parameters, name).Scan(&types); err != nil {
		t.Fatal(err)
	}
	return types
}

// planNode is a step of a plan.
type planNode struct {
	Type     string       `json:"Node Type"`
	Relation string       `json:"Relation Name"`
	Targets  []planTarget `json:"Target Tables"`
	Plans    []planNode
}

type planTarget struct {
	Relation string `json:"Relation Name"`
}

func (n *planNode) look(p *planned) {
	p.writes = p.writes || n.Type == "ModifyTable"
	p.locks = p.locks || n.Type == "LockRows"
	// What it may write to is written there as a whole where the plan is for any
	// arguments; what it looks for in them is not.
	if m := spreadTable.FindStringSubmatch(n.Relation); m != nil && m[2] != "" && n.Type != "ModifyTable" && !slices.Contains(p.partitions[m[1]], n.Relation) {
		p.partitions[m[1]] = append(p.partitions[m[1]], n.Relation)
	}
	for i := range n.Plans {
		n.Plans[i].look(p)
	}
}

// planModes are the two kinds of plans there are.
var planModes = []string{"force_custom_plan", "force_generic_plan"}

// Every statement over leads, evidence, counts and campaigns looks into one partition.
func TestPartitions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := pgx.Connect(t.Context(), b.cfg.URL)
	b.must(err)
	defer conn.Close(t.Context())
	used := map[string]bool{}
	looked := 0
	look := func(at, name, sql string) {
		t.Helper()
		looked++
		for _, mode := range planModes {
			p := planOf(t, conn, sql, mode, b.campaign)
			wide := p.wide()
			switch {
			case wide != "" && fanOuts[name] == "":
				t.Errorf("%s: %s looks into %s (%s):\n%s", at, name, wide, mode, sql)
			case wide != "":
				used[name] = true
				if p.writes || p.locks {
					t.Errorf("%s: %s looks into %s, and writes or locks", at, name, wide)
				}
			}
		}
	}
	for _, s := range statements(t) {
		if notPostgres.MatchString(s.at) || !spreadTable.MatchString(s.sql) || s.name == "leadsQuery" {
			continue
		}
		look(s.at, s.name, s.sql)
	}
	everyLeadsQuery(b, nil, func(_ LeadFilter, sql string, _ []any) { look("leads_read.go", "leadsQuery", sql) })
	for name := range fanOuts {
		if !used[name] {
			t.Errorf("%s need not be a statement that asks every partition", name)
		}
	}
	if looked < 60 {
		t.Errorf("only %d statements were looked at", looked)
	}
}

// The rule finds statements that lack their campaign.
func TestPartitionRule(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := pgx.Connect(t.Context(), b.cfg.URL)
	b.must(err)
	defer conn.Close(t.Context())
	for sql, want := range map[string]planned{
		`SELECT id FROM leads WHERE id = $1`:                                                                   {},
		`SELECT id FROM leads WHERE campaign_id > $1`:                                                          {},
		`SELECT id FROM leads WHERE campaign_id = $1 OR phone = $2`:                                            {},
		`SELECT id FROM leads WHERE id = $1 FOR UPDATE`:                                                        {locks: true},
		`SELECT id FROM campaigns WHERE tenant_id = $1 FOR SHARE`:                                              {locks: true},
		`SELECT l.id FROM leads l JOIN ledger e ON e.id = l.first_entry WHERE l.campaign_id = $1`:              {},
		`SELECT l.id FROM leads l WHERE l.campaign_id = $1 AND EXISTS (SELECT 1 FROM ledger e WHERE e.id = 1)`: {},
		`UPDATE leads SET status = $1 WHERE id = $2`:                                                           {writes: true},
		`DELETE FROM leads WHERE id IN (SELECT id FROM leads WHERE campaign_id = $1)`:                          {writes: true},
		`DELETE FROM campaign_changes WHERE activation < $1`:                                                   {writes: true},
		`INSERT INTO leads (campaign_id, id, phone, status, attempts, reason, created_at, updated_at)
			SELECT campaign_id, id + 1, phone + 1, status, attempts, reason, created_at, updated_at FROM leads WHERE phone = $1`: {writes: true},
	} {
		for _, mode := range planModes {
			if got := planOf(t, conn, sql, mode, b.campaign); got.wide() == "" || got.writes != want.writes || got.locks != want.locks {
				t.Errorf("%s: %+v (%s)", sql, got, mode)
			}
		}
	}
	for _, sql := range []string{
		`SELECT id FROM leads WHERE campaign_id = $1 AND phone = $2`,
		`SELECT id FROM campaigns WHERE id = $1 FOR SHARE`,
		`UPDATE leads SET status = $1 WHERE campaign_id = $2 AND id = $3`,
		`DELETE FROM leads WHERE campaign_id = $1 AND id = $2`,
	} {
		for _, mode := range planModes {
			if got := planOf(t, conn, sql, mode, b.campaign); got.wide() != "" || len(got.partitions) != 1 {
				t.Errorf("%s: %+v (%s)", sql, got, mode)
			}
		}
	}
	if got := planOf(t, conn, `SELECT id FROM leads WHERE id = $1`, planModes[0], b.campaign); len(got.partitions["leads"]) != 16 {
		t.Errorf("of 16 partitions %v are seen", got.partitions)
	}
}
