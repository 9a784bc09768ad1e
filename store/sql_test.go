package store

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"saaf"
)

// Rules about the statements of this package, read from its source.

// statement is one SQL statement, put together from its constants.
type statement struct {
	name string // of its constant, or the function it stands in
	at   string
	sql  string
}

// exceptions are the statements over a tenant's tables that may look past tenant
// and campaign.
var exceptions = map[string]string{
	"sqlHighestID":        "ids must not repeat in the whole deployment",
	"sqlKeyByHash":        "finds out which tenant it is that calls",
	"sqlKeys":             "saaf key list, for the operator of the deployment",
	"sqlRevokeKey":        "saaf key revoke, for the operator of the deployment",
	"sqlKey":              "what saaf key revoke has revoked",
	"sqlUnfinished":       "a new registry is for the leads of everybody",
	"sqlUnchecked":        "a new registry is for the leads of everybody",
	"sqlBusyCampaigns":    "how much a transaction may do is for the good of everybody",
	"sqlDeletedCampaigns": "the purge works for everybody",
	"sqlCampaignsThere":   "a barrier waits for the pushes of everybody",
	"sqlAnyLead":          "looks whether the store has leads",
	"sqlLeadsToPack":      "makes the blocks of everybody",
	"sqlCountToPack":      "says how many they are",
	"sqlGauges":           "counts over the whole deployment, for /metrics",
	"sqlCountOptOuts":     "counts over the whole deployment, for /metrics",
	"leadsQuery":          "the head of a statement that where puts together: TestLeadStatements",

	"sqlAllCampaigns":       "the deployment's own opt-out list is for the leads of everybody",
	"sqlExpired":            "entries of everybody expire",
	"sqlSuppressionChanges": "the writer's copy of the lists is for the leads of everybody",
	"suppressionsQuery":     "the head of a statement that where puts together: TestSuppressionStatements",
	"sqlEveryonesCampaigns": "the deployment's own opt-out list is for the leads of everybody",
	"sqlUnspread":           "changes of everybody's lists are to be spread",
	"sqlUnfinishedErasures": "the scrub works for everybody",
	"sqlFinishErasure":      "the scrub works for everybody",
	"sqlChainHead":          "a chain is for everybody",
	"sqlChainAfter":         "a chain is for everybody",
	"sqlChainEntry":         "a chain is for everybody",
	"sqlLedgerAfter":        "chains are for everybody",
	"sqlLedgerAt":           "chains are for everybody",
}

var (
	verb        = regexp.MustCompile(`(?i)^\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|CREATE|ALTER|DROP)\b`)
	tenantTable = regexp.MustCompile(`(?i)\b(FROM|JOIN|INTO|UPDATE)\s+(campaigns|campaign_counts|campaign_changes|leads|api_keys|suppressions|ledger|erasures)\b`)
	// A condition on the tenant or the campaign, or a row that is written with it.
	narrowed  = regexp.MustCompile(`(?i)\b((\w\.)?(tenant_id|campaign_id)|c\.id) = (\$\d|\?)|INTO campaigns \(id|INTO (leads|campaign_counts|campaign_changes|ledger)( AS \w)? \(campaign_id|INTO (api_keys|suppressions|erasures) \(id, tenant_id|(UPDATE|FROM) campaigns\b[^;]*\bWHERE id = \$\d`)
	forbidden = map[string]*regexp.Regexp{
		"SELECT *: name the columns":             regexp.MustCompile(`(?i)SELECT\s+(\w+\.)?\*|,\s*\w+\.\*`),
		"the clock of SQLite: pass the time":     regexp.MustCompile(`(?i)\bnow\s*\(|'now'|CURRENT_(TIMESTAMP|TIME|DATE)|\b(unixepoch|julianday)\s*\(`),
		"OFFSET: page from below the last id":    regexp.MustCompile(`(?i)\bOFFSET\b|\bLIMIT\s+[$?]\d*\s*,`),
		"a value in the statement: bind it":      regexp.MustCompile(`(^|[^'])'[^']+'([^']|$)|(=|<>) ''`),
		"a parameter without a number: write $n": regexp.MustCompile(`\?`),
	}
	parameter = regexp.MustCompile(`\$(\d+)`)
)

// violations is what is wrong with a statement.
func violations(sql string) (list []string) {
	for what, pattern := range forbidden {
		if pattern.MatchString(sql) {
			list = append(list, what)
		}
	}
	highest := 0
	for _, m := range parameter.FindAllStringSubmatch(sql, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > highest+1 {
			list = append(list, fmt.Sprintf("$%s comes before $%d: number parameters in the order in which they first appear", m[1], highest+1))
			break
		}
		highest = max(highest, n)
	}
	return list
}

func TestStatements(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	list := statements(t)
	for _, s := range list {
		for _, v := range violations(s.sql) {
			t.Errorf("%s: %s: %s", s.at, s.name, v)
		}
		if !tenantTable.MatchString(s.sql) {
			continue
		}
		if exceptions[s.name] != "" {
			used[s.name] = true
		} else if !narrowed.MatchString(s.sql) {
			t.Errorf("%s: %s names neither the tenant nor the campaign:\n%s", s.at, s.name, s.sql)
		}
	}
	for name := range exceptions {
		if !used[name] {
			t.Errorf("the exception for %s is not needed", name)
		}
	}
	if len(list) < 40 {
		t.Errorf("found only %d statements: this test no longer reads the code", len(list))
	}
}

// The rules catch what they are meant to catch.
func TestStatementRules(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		`SELECT * FROM tenants`, `SELECT t.* FROM tenants t`, `SELECT id, t.* FROM tenants t`,
		`SELECT id FROM tenants WHERE created_at < datetime('now')`, `SELECT now()`, `SELECT CURRENT_TIMESTAMP`, `SELECT unixepoch()`,
		`SELECT id FROM tenants LIMIT $1 OFFSET $2`, `SELECT id FROM tenants LIMIT $1, $2`,
		`SELECT id FROM tenants WHERE id = ?`, `SELECT id FROM tenants WHERE name = $2 AND id = $1`, `SELECT $1, $3`, `SELECT $0`,
		`UPDATE tenants SET name = 'x'`, `SELECT id FROM erasures WHERE state IN ('running', $1)`, `SELECT CASE name WHEN 'x' THEN 1 END FROM tenants`,
		`SELECT id FROM tenants WHERE name <> ''`,
	} {
		if len(violations(sql)) == 0 {
			t.Errorf("nothing is found wrong with %s", sql)
		}
	}
	if v := violations(`SELECT id FROM tenants WHERE id = $1 AND name = $2 AND id < $1`); len(v) > 0 {
		t.Errorf("a good statement: %v", v)
	}
	for sql, ok := range map[string]bool{
		`SELECT tenant_id FROM api_keys`:                                    false,
		`SELECT id FROM leads WHERE id = $1`:                                false,
		`DELETE FROM leads WHERE id = $1`:                                   false,
		`UPDATE leads SET campaign_id = 0 WHERE id < $1`:                    false,
		`SELECT id FROM campaigns WHERE status = $1`:                        false,
		`UPDATE api_keys SET label = $1 WHERE id = $2`:                      false,
		`SELECT id FROM leads WHERE campaign_id = $1`:                       true,
		`SELECT l.id FROM leads l WHERE l.campaign_id = $1`:                 true,
		`SELECT id FROM campaigns WHERE id = $1`:                            true,
		`UPDATE campaigns SET name = $1 WHERE id = $2`:                      true,
		`SELECT id FROM api_keys WHERE tenant_id = $1`:                      true,
		`INSERT INTO leads (campaign_id, id) VALUES ($1, $2)`:               true,
		`INSERT INTO leads (id) VALUES ($1)`:                                false,
		`SELECT c.id FROM campaigns c JOIN tenants t ON t.id = c.tenant_id`: false,
	} {
		if !tenantTable.MatchString(sql) || narrowed.MatchString(sql) != ok {
			t.Errorf("narrowed = %v for %s", !ok, sql)
		}
	}
}

// statements reads the SQL of the package: every constant text that begins with
// a verb and is not only a part of another one.
func statements(t tester) (list []statement) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), ".go") || strings.HasSuffix(name.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	// Constants are folded without a look at the imports, which are not loaded.
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Error: func(error) {}, Importer: noImports{}}
	_, _ = conf.Check("saaf/store", fset, files, &info)
	for _, f := range files {
		names := map[ast.Expr]string{} // of constants
		function := ""
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				function = n.Name.Name
			case *ast.ValueSpec:
				for i, x := range n.Values {
					names[x] = n.Names[i].Name
				}
			case *ast.Ident: // a constant that is used: it is seen where it is declared
			case ast.Expr:
				if sql := info.Types[n].Value; sql != nil && sql.Kind() == constant.String && verb.MatchString(constant.StringVal(sql)) {
					list = append(list, statement{cmp.Or(names[n], function), fset.Position(n.Pos()).String(), constant.StringVal(sql)})
					return false
				}
			}
			return true
		})
	}
	return list
}

type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return nil, fmt.Errorf("%s is not loaded", path)
}

// plan is how SQLite would run a statement.
func (b *bundle) plan(sql string, args ...any) (steps []string) {
	b.t.Helper()
	raw, err := b.embedded().readers.Take(b.ctx)
	b.must(err)
	defer b.embedded().readers.Put(raw)
	b.must(sqliteConn{Conn: raw}.query("EXPLAIN QUERY PLAN "+sql, func(r row) error {
		_, _, _ = r.int64(), r.int64(), r.int64()
		steps = append(steps, r.text())
		return nil
	}, args...))
	return steps
}

// noScan checks that a statement finds its leads by an index.
func (b *bundle) noScan(name, sql string, args ...any) (plan string) {
	b.t.Helper()
	steps := b.plan(sql, args...)
	for _, step := range steps {
		if strings.HasPrefix(step, "SCAN") && step != "SCAN d" && !strings.HasPrefix(step, "SCAN json_each") || // the one row of deployment, and a list of ours
			strings.Contains(step, "TEMP B-TREE") || strings.Contains(step, "AUTOMATIC") {
			b.t.Errorf("%s: %q in the plan of\n%s", name, steps, sql)
		}
	}
	return strings.Join(steps, "; ")
}

// No statement over leads or campaigns of one owner walks a whole table or sorts.
func TestNoStatementWalksATable(t *testing.T) {
	t.Parallel()
	for _, how := range []Uniqueness{ByIndex, ByBlocks} {
		testNoStatementWalksATable(t, how)
	}
}

func testNoStatementWalksATable(t *testing.T, how Uniqueness) {
	b := setupWith(t, Config{Uniqueness: how})
	wide := []string{"sqlBusyCampaigns", "sqlUnfinished", "sqlUnchecked", "sqlDeletedCampaigns", "sqlCampaignsThere", "sqlKeys", "sqlHighestID", "leadsQuery",
		"sqlAllCampaigns", "suppressionsQuery", "sqlCountOptOuts",
		"sqlUnfinishedErasures", // over an index of nothing else
		"sqlEveryonesCampaigns",
		"sqlInsertLeads", "sqlMoveLeads", // PostgreSQL alone runs them
		"sqlGauges",      // one row for each campaign and import
		"sqlLeadsToPack", // all leads, once
		"sqlCountToPack", // the same
		"sqlAnyLead",     // the first one
	}
	if how == ByBlocks { // what blocks are asked instead
		wide = append(wide, "sqlUnfinishedLeads", "sqlUncheckedLeads", "sqlAgedLeads", "sqlCountAged", "sqlHeldLeads", "sqlLeadsByPhone",
			"leadEntries", "sqlLeadEntries", "sqlPurgeLeads", "sqlSuppressedLeadsOf", "sqlInsertOnce")
	}
	checked := 0
	for _, s := range statements(t) {
		if !tenantTable.MatchString(s.sql) || slices.Contains(wide, s.name) || strings.Contains(s.sql, "ALTER TABLE") {
			continue
		}
		n := 0
		for _, m := range parameter.FindAllStringSubmatch(s.sql, -1) {
			i, err := strconv.Atoi(m[1])
			b.must(err)
			n = max(n, i)
		}
		b.noScan(s.at+" "+s.name, s.sql, slices.Repeat([]any{1}, n)...)
		checked++
	}
	if checked < 12 {
		t.Errorf("only %d statements were looked at", checked)
	}
	if steps := b.plan(sqlSuppressedLeadsOf, 1, 1); how == ByIndex && (len(steps) != 1 || !strings.Contains(steps[0], "leads_suppressed")) {
		t.Errorf("the suppressed leads of a campaign are found by %q", steps)
	}
	if steps := b.plan(`SELECT id FROM leads WHERE reason = $1`, 1); len(steps) != 1 || !strings.HasPrefix(steps[0], "SCAN leads") {
		t.Errorf("a walk over all leads has the plan %q: this test would miss it", steps)
	}
}

// The list of leads is put together from the filters that are set. Whichever
// they are, it names tenant and campaign and walks no more than the campaign.
func TestLeadStatements(t *testing.T) {
	t.Parallel()
	for _, how := range []Uniqueness{ByIndex, ByBlocks} {
		testLeadStatements(t, how)
	}
}

func testLeadStatements(t *testing.T, how Uniqueness) {
	b := setupWith(t, Config{Uniqueness: how})
	var among []int64
	if how == ByBlocks {
		among = []int64{1, 2}
	}
	everyLeadsQuery(b, among, func(f LeadFilter, sql string, args []any) {
		for _, v := range violations(sql) {
			t.Errorf("%s\n%s", v, sql)
		}
		if !strings.Contains(sql, "l.campaign_id = $1") || !strings.Contains(sql, "c.tenant_id = $2") ||
			args[0] != b.campaign || args[1] != b.tenant {
			t.Errorf("does not name tenant and campaign: %s", sql)
		}
		if n := strings.Count(sql, "$"); n != len(args) {
			t.Errorf("%d arguments for %d parameters: %s", len(args), n, sql)
		}
		steps := strings.Join(b.plan(sql, args...), "; ")
		want := "SEARCH l USING INTEGER PRIMARY KEY (rowid=?)" // and the sorting of a page
		if how == ByIndex {
			b.noScan("list", sql, args...)
			want = "USING INDEX leads_campaign (campaign_id=?"
			if f.Phone != nil {
				want = "USING INDEX leads_phone (campaign_id=? AND phone=?"
			}
		}
		if !strings.Contains(steps, want) {
			t.Errorf("plan %q; want it %s:\n%s", steps, want, sql)
		}
	})
}

// everyLeadsQuery goes through the filters and the pairs of filters of a list of leads.
func everyLeadsQuery(b *bundle, among []int64, do func(f LeadFilter, sql string, args []any)) {
	options := append(filterOptions(checkedAt), filterOption{set: func(*LeadFilter) {}})
	seen := map[string]bool{}
	for _, below := range []saaf.Cursor{0, 99} {
		for i, one := range options {
			for _, two := range options[i:] {
				var f LeadFilter
				one.set(&f)
				two.set(&f)
				sql, args := leadsQuery(b.tenant, b.campaign, f, below, 25, among)
				if !seen[sql] {
					seen[sql] = true
					do(f, sql, args)
				}
			}
		}
	}
}

// So is the list of suppressions.
func TestSuppressionStatements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	everySuppressionsQuery(b, func(sql string, args []any) {
		for _, v := range violations(sql) {
			t.Errorf("%s\n%s", v, sql)
		}
		if !strings.Contains(sql, "tenant_id = $1 AND environment = $2") || args[0] != b.tenant || args[1] != saaf.Live {
			t.Errorf("does not name tenant and environment: %s", sql)
		}
		want := "USING INDEX suppressions_list (tenant_id=?"
		steps := b.plan(sql, args...)
		if strings.Contains(sql, "phone_hash = ") {
			want = "(tenant_id=? AND phone_hash=?"
		}
		if len(steps) == 0 || !strings.Contains(steps[0], want) {
			t.Errorf("plan %q; want it %s:\n%s", steps, want, sql)
		}
	})
}

// everySuppressionsQuery goes through the filters of a list of suppressions.
func everySuppressionsQuery(b *bundle, do func(sql string, args []any)) {
	for i := range 16 {
		var f SuppressionFilter
		var hash []byte
		var below saaf.Cursor
		if i&1 != 0 {
			hash = make([]byte, 16)
		}
		if i&2 != 0 {
			f.Campaign = new(b.campaign)
		}
		if i&4 != 0 {
			below = 99
		}
		f.Ended = i&8 != 0
		do(suppressionsQuery(b.tenant, saaf.Live, f, hash, below, 25))
	}
}
