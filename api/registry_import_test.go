package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/scrub"
	"saaf/store"
)

// byOperator sends as the operator of the deployment.
func (b *bundle) byOperator() func(*http.Request) { return as(b.operator) }

// upload sends a registry file of today.
func (b *bundle) upload(mode, file string, more ...string) answer {
	b.t.Helper()
	path := "/dnd/registry:import?mode=" + mode + "&effective_date=" + saaf.DateOf(time.Now()).String() + strings.Join(more, "")
	return b.do("POST", path, file, b.byOperator(), with("Content-Type", "text/csv"))
}

// working runs what the server runs in the background until the test ends.
func (b *bundle) working(work ...func(context.Context) error) {
	b.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, len(work))
	for _, f := range work {
		go func() { ended <- f(ctx) }()
	}
	b.t.Cleanup(func() {
		stop()
		for range work {
			if err := <-ended; err != nil {
				b.t.Error(err)
			}
		}
	})
}

// imported is an import when all that is under way in the bubble has been done.
func (b *bundle) imported(id string) answer {
	b.t.Helper()
	synctest.Wait()
	return b.do("GET", "/dnd/registry/imports/"+id, "", b.byOperator()).is(200)
}

// arrived are the files in the upload directory.
func (b *bundle) arrived() (names []string) {
	b.t.Helper()
	entries, err := os.ReadDir(b.uploads)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestImport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.working(b.scrub.RunImports)
		campaign := b.campaign()
		b.push(campaign, "6000000001")
		full := b.upload("full", "13,6000000001,0,A,2\n13,6000000002,1,A,2\n13,6000000003,0,D,2\n13,60000,0,A,2\n", "&override=a+small+set+for+9876543210").is(202)
		if state := full.text("state"); state != "queued" {
			t.Errorf("%s", full.body)
		}
		a := b.imported(full.text("id"))
		var got map[string]any
		a.decode(&got)
		snapshot := b.do("GET", "/dnd/registry", "").is(200).text("id")
		want := map[string]any{
			"id": full.text("id"), "state": "completed", "mode": "full", "effective_date": "2000-01-01", "override": "a small set for xxxxxx3210", "stage": nil,
			"rows": 4.0, "rows_active": 2.0, "rows_deleted": 1.0, "malformed": 1.0, "conflicts": 0.0, "problem": nil, "snapshot_id": snapshot,
			"bytes_total": got["bytes_total"], "bytes_done": got["bytes_total"], "warnings": got["warnings"], "refusals": got["refusals"],
			"created_at": "2000-01-01T00:00:00.000Z", "finished_at": "2000-01-01T00:00:00.000Z",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if a.raw("warnings")[0] != '[' || a.raw("refusals")[0] != '[' {
			t.Error(a.body)
		}
		delta := b.upload("delta", "13,6000000004,0,A,2\n").is(202).text("id")
		if a := b.imported(delta); a.text("state") != "completed" || a.text("snapshot_id") == snapshot {
			t.Error(a.body)
		}
		a = b.do("GET", "/dnd/registry", "").is(200)
		if a.raw("numbers") != "3" || a.raw("base_sha256") == "null" || strings.Count(a.body, `"id":"snap_`) != 3 {
			t.Error(a.body)
		}
		if a := b.do("POST", "/dnd:check", `{"phones":["6000000004"]}`).is(200); !strings.Contains(a.body, `"reason":"ncpr_full_block"`) {
			t.Error(a.body)
		}
		if left := b.arrived(); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	})
}

func TestImportThatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.working(b.scrub.RunImports)
		before := b.fresh()
		a := b.imported(b.upload("full", "hello").is(202).text("id"))
		var refusals []map[string]string
		a.member("refusals", &refusals)
		if a.text("state") != "refused" || a.raw("snapshot_id") != "null" || len(refusals) == 0 || refusals[0]["rule"] == "" || refusals[0]["sentence"] == "" {
			t.Error(a.body)
		}
		if got := b.do("GET", "/dnd/registry", "").is(200).text("id"); got != before.String() {
			t.Errorf("the registry has moved from %s to %s", before, got)
		}
	})
}

// An import whose snapshot another process has activated is not shown as done before
// this one answers from it.
func TestImportIsDoneWhenItIsInForce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	a := b.upload("full", "13,6000000007,0,A,2\n", "&override=a+test").is(202)
	id, ok := saaf.ParseID[saaf.RegistryImportID](a.text("id"))
	if !ok {
		t.Fatal(a.body)
	}
	if err := scrub.RunImport(t.Context(), b.store, b.dir, b.uploads, store.Lease{}, id, nil); err != nil {
		t.Fatal(err)
	}
	path := "/dnd/registry/imports/" + a.text("id")
	a = b.do("GET", path, "", b.byOperator()).is(200)
	if a.text("state") != "running" || a.text("stage") != "loading" || a.raw("finished_at") != "null" {
		t.Error(a.body)
	}
	if _, err := b.scrub.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	a = b.do("GET", path, "", b.byOperator()).is(200)
	if a.text("state") != "completed" || a.raw("stage") != "null" || a.raw("finished_at") == "null" {
		t.Error(a.body)
	}
	// One that others have replaced since is done, whatever is loaded here.
	b.fresh()
	if again := b.do("GET", path, "", b.byOperator()).is(200); again.body != a.body {
		t.Error(again.body)
	}
}

// A snapshot that is active and cannot be loaded is not in force, and the answer
// says why.
func TestImportThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.upload("full", "13,6000000007,0,A,2\n", "&override=a+test").is(202)
	id, _ := saaf.ParseID[saaf.RegistryImportID](a.text("id"))
	if err := scrub.RunImport(t.Context(), b.store, b.dir, b.uploads, store.Lease{}, id, nil); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(b.dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if serving, err := b.scrub.Load(t.Context()); err != nil || serving.Problem == "" {
		t.Fatal(serving, err)
	}
	a = b.do("GET", "/dnd/registry/imports/"+a.text("id"), "", b.byOperator()).is(200)
	if a.text("state") != "running" || !strings.Contains(a.raw("warnings"), "cannot be used") {
		t.Error(a.body)
	}
}

// unread fails the test when somebody reads from it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestImportQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in which it is the first of January 2000 in India
		b := setup(t)
		for query, want := range map[string][]string{
			"":                                                     {"query.effective_date value_error.missing", "query.mode value_error.missing"},
			"?mode=full":                                           {"query.effective_date value_error.missing"},
			"?effective_date=2000-01-01":                           {"query.mode value_error.missing"},
			"?mode=&effective_date=2000-01-01":                     {"query.mode value_error.mode"},
			"?mode=FULL&effective_date=2000-01-01":                 {"query.mode value_error.mode"},
			"?mode=full&effective_date=1-1-2000":                   {"query.effective_date value_error.effective_date"},
			"?mode=full&effective_date=":                           {"query.effective_date value_error.effective_date"},
			"?mode=full&effective_date=2000-02-30":                 {"query.effective_date value_error.effective_date"},
			"?mode=full&effective_date=2000-01-02":                 {"query.effective_date value_error.effective_date"},
			"?mode=delta&effective_date=9999-12-31":                {"query.effective_date value_error.effective_date"},
			"?mode=full&effective_date=2000-01-01&override=":       {"query.override value_error.missing"},
			"?mode=full&effective_date=2000-01-01&override=%20%09": {"query.override value_error.missing"},
			"?mode=full&effective_date=2000-01-01&override=a%00b":  {"query.override value_error.nul"},
			"?mode=full&effective_date=2000-01-01&override=%ff":    {"query.override value_error.override"},
			"?mode=full&effective_date=2000-01-01&override=" + strings.Repeat("x", 501):      {"query.override value_error.any_str.max_length"},
			"?mode=full&effective_date=2000-01-01&force=1":                                   {"query.force value_error.unknown_parameter"},
			"?mode=full&effective_date=2000-01-01&%zz":                                       {"query value_error.query"},
			"?mode=full&effective_date=2000-01-01&effective_date=2000-01-02&mode=full&mode=": {"query.effective_date value_error.effective_date", "query.mode value_error.mode"},
		} {
			a := b.do("POST", "/dnd/registry:import"+query, "", b.byOperator(), func(r *http.Request) { r.Body = io.NopCloser(unread{t}) }).is(422)
			got := a.fields()
			for _, w := range want {
				if !strings.Contains(strings.Join(got, "\n"), w) {
					t.Errorf("%s: %q, want %q", query, got, want)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		a := b.do("POST", "/dnd/registry:import?mode=full&effective_date=2000-01-02", "", b.byOperator())
		if !strings.Contains(a.body, "the effective date 2000-01-02 is after today, 2000-01-01 in India: no override lifts that") {
			t.Error(a.body)
		}
		if left := b.arrived(); len(left) > 0 {
			t.Errorf("%v arrived", left)
		}
	})
}

// What is not whole leaves nothing behind.
func TestUploadsThatDoNotArrive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, body := range map[string]io.Reader{
		"cut":   io.MultiReader(strings.NewReader("13,60"), iotest.ErrReader(io.ErrUnexpectedEOF)),
		"reset": io.MultiReader(strings.NewReader("13,60"), iotest.ErrReader(errors.New("connection reset by peer"))),
		"idle":  io.MultiReader(strings.NewReader("13,60"), iotest.ErrReader(os.ErrDeadlineExceeded)),
	} {
		a := b.do("POST", "/dnd/registry:import?mode=full&effective_date=2000-01-01", "", b.byOperator(), func(r *http.Request) { r.Body = io.NopCloser(body) })
		word := "malformed"
		if name == "idle" {
			word = "upload_idle"
		}
		if a.status != 400 || a.text("code") != word {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	b.do("POST", "/dnd/registry:import?mode=full&effective_date=2000-01-01", "", b.byOperator()).wrong("body", "value_error.missing")
	if left := b.arrived(); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	list, err := b.store.UnfinishedImports(t.Context())
	if err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	if strings.Contains(b.log.String(), "ERROR") {
		t.Error(b.log)
	}
}

// The type of the body decides nothing, unless it is a form.
func TestUploadsOfEveryType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, kind := range []string{"", "text/csv", "application/zip", "application/gzip", "application/json", "nonsense"} {
		b.do("POST", "/dnd/registry:import?mode=full&effective_date=2000-01-01", "\x00\xff{", b.byOperator(), with("Content-Type", kind)).is(202)
	}
	if n := len(b.arrived()); n != 6 {
		t.Errorf("%d files arrived", n)
	}
	for _, name := range b.arrived() {
		info, err := os.Stat(filepath.Join(b.uploads, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

// It runs alone: it measures what this process allocates.
func TestUploadTakesNoMemory(t *testing.T) {
	b := setup(t, func(c *Config) { c.MaxBody, c.MaxInFlight = 1000, 1000 })
	server := httptest.NewServer(b.handler)
	defer server.Close()
	const size = 64 << 20
	row := []byte("13,6000000001,0,A,2\n")
	block := bytes.Repeat(row, 64<<10/len(row))
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+base+"/dnd/registry:import?mode=full&effective_date=2000-01-01",
		io.LimitReader(repeating{block}, size))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.operator)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	runtime.ReadMemStats(&after)
	if text := readAll(t, resp.Body); resp.StatusCode != 202 {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
		t.Errorf("%d bytes were allocated for a body of %d", grown, size)
	}
	info, err := os.Stat(filepath.Join(b.uploads, b.arrived()[0]))
	if err != nil || info.Size() != size {
		t.Errorf("%v, %v", info, err)
	}
}

// repeating says the same again and again.
type repeating struct{ text []byte }

func (r repeating) Read(p []byte) (int, error) { return copy(p, r.text), nil }

func TestRollBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		roll := func(body string) answer {
			return b.do("POST", "/dnd/registry:rollback", body, b.byOperator(), with("X-Request-Id", "for-98765_43210"))
		}
		conflict := func(a answer, detail string) {
			t.Helper()
			a.fails(409, "nothing_to_roll_back", detail)
		}
		conflict(roll(`{"reason":"x"}`), `"There is no active snapshot: import the registry first"`)
		first := b.fresh()
		conflict(roll(`{"reason":"x"}`), `"The active snapshot is the first there was: there is nothing to go back to"`)
		time.Sleep(time.Hour)
		second := b.registry(saaf.DateOf(time.Now()), map[saaf.Phone]string{6000000005: "0"})
		for _, body := range []string{`{}`, `{"reason":" "}`} {
			roll(body).wrong("body.reason", "value_error.missing")
		}
		if got := b.do("GET", "/dnd/registry", "").is(200).text("id"); got != second.String() {
			t.Errorf("%s was rolled back", got)
		}
		a := roll(`{"reason":"9876543210 called: the wrong file","to":"x"}`).is(200)
		if a.text("id") != first.String() || a.raw("numbers") != "2" || a.raw("warnings") != `["unknown member \"to\" was ignored"]` {
			t.Error(a.body)
		}
		if view := b.do("GET", "/dnd/registry", "").is(200); strings.TrimSuffix(a.body, `,"warnings":`+a.raw("warnings")+"}\n")+"}\n" != view.body {
			t.Errorf("%s\n%s", a.body, view.body)
		}
		list, err := b.store.Activations(t.Context(), 3)
		if err != nil || len(list) != 1 || !list[0].Rollback || list[0].Reason != "xxxxxx3210 called: the wrong file" || !strings.HasPrefix(list[0].By.Actor, "key_") || list[0].By.Request != "for-xxxxx_x3210" {
			t.Errorf("%+v, %v", list, err)
		}
		conflict(roll(`{"reason":"x"}`), `"The active snapshot is the first there was: there is nothing to go back to"`)
	})
}

// FuzzImportQuery reads parameters that nobody percent-encoded: what is let through
// is what the importer may have.
func FuzzImportQuery(f *testing.F) {
	for _, s := range []string{"", "mode=full&effective_date=2026-11-20", "mode=delta&effective_date=2026-11-20&override=why", "mode=full&effective_date=2026-11-20&override=%00",
		"mode=full&effective_date=0000-00-00", "mode=full&mode=x&effective_date=2026-11-20", "override=%ff&mode=full&effective_date=2026-11-20"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.URL.RawQuery = query
		req, err := readImport(r, now)
		values, unreadable := url.ParseQuery(query)
		if err != nil {
			if e, ok := errors.AsType[*saaf.Error](err); !ok || e.Code != saaf.Invalid || len(e.Fields) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if req.Mode != saaf.FullSet && req.Mode != saaf.Delta || req.EffectiveDate == 0 || req.EffectiveDate > saaf.DateOf(now) || unreadable != nil ||
			values.Has("override") == (strings.TrimSpace(req.Override) == "") {
			t.Fatalf("%q was let through as %+v", query, req)
		}
	})
}

// A form around the file would be read as rows of the registry.
func TestRegistryUploadIsNoForm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		const form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n1,6000000000,0,A,2\n\r\n--x--\r\n"
		path := "/dnd/registry:import?mode=full&effective_date=" + saaf.DateOf(time.Now()).String()
		b.do("POST", path, form, b.byOperator(), with("Content-Type", "multipart/form-data; boundary=x")).fails(415, "unsupported_type", `"A form is not read here; send the file itself as the body, with curl: --data-binary @FILE"`)
	})
}
