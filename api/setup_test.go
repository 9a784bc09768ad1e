package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/auth"
	"saaf/dnd"
	"saaf/intake"
	"saaf/internal/apptest"
	"saaf/scrub"
	"saaf/store"
)

var update = flag.Bool("update", false, "rewrite golden files")

// bundle is an API over a store of its own, with one tenant and a live key that
// has all ordinary scopes and a limit nobody meets.
type bundle struct {
	t       testing.TB
	store   *store.Store
	scrub   *scrub.Service
	dnd     *dnd.Registry
	handler http.Handler
	tenant  saaf.TenantID
	key     string
	log     *logBuffer
	dir     string // of registry files and snapshots
	uploads string // where registry files arrive

	operator string // a key like key that may touch the deployment

	failing error // what the process says when it is asked whether it is ready
}

// setup may change the configuration before the API is made.
func setup(t testing.TB, change ...func(*Config)) *bundle {
	t.Helper()
	st, err := store.Open(t.Context(), apptest.Store(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- st.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-stopped, st.Close()); err != nil {
			t.Error(err)
		}
	})
	registry, err := dnd.NewRegistry(dnd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, store: st, dnd: registry, log: new(logBuffer), dir: t.TempDir(), uploads: filepath.Join(t.TempDir(), "uploads")}
	log := slog.New(slog.NewJSONHandler(b.log, nil))
	b.scrub = scrub.NewService(scrub.Config{Store: st, Registry: registry, Dir: b.dir, Uploads: b.uploads, Log: log})
	cfg := Config{
		Store: st, Auth: auth.NewService(st), Scrub: b.scrub, Log: log,
		Intake: intake.NewService(st, registry, nil, saaf.PhonePolicy{}),
		Ready:  func() error { return b.failing },
	}
	for _, f := range change {
		f(&cfg)
	}
	b.handler = New(cfg).Handler()
	b.tenant = b.newTenant("Asha Motors")
	b.key = b.newKey(auth.KeySpec{})
	b.operator = b.newKey(auth.KeySpec{Operator: true})
	return b
}

// empty is a registry that has no snapshot.
func (b *bundle) empty() *dnd.Registry {
	b.t.Helper()
	registry, err := dnd.NewRegistry(dnd.Config{})
	if err != nil {
		b.t.Fatal(err)
	}
	return registry
}

func (b *bundle) newTenant(name string) saaf.TenantID {
	b.t.Helper()
	tenant, err := b.store.CreateTenant(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return tenant.ID
}

// newKey stores a key, live and of the bundle's tenant if spec says nothing else.
func (b *bundle) newKey(spec auth.KeySpec) string {
	b.t.Helper()
	if spec.TenantID == 0 {
		spec.TenantID = b.tenant
	}
	if spec.Environment == "" {
		spec.Environment = saaf.Live
	}
	if spec.RateLimit == 0 {
		spec.RateLimit = saaf.MaxRateLimit
	}
	key, secret, err := auth.NewKey(spec)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.store.CreateKey(b.t.Context(), key); err != nil {
		b.t.Fatal(err)
	}
	return string(secret)
}

// registry makes the API answer from a snapshot of the day with these numbers:
// phone to preferences.
func (b *bundle) registry(day saaf.Date, listed map[saaf.Phone]string) saaf.SnapshotID {
	b.t.Helper()
	var rows strings.Builder
	rows.WriteString("Service Area Code,Phone Numbers,Preferences,Opstype,Phone Type\n")
	for phone, preferences := range listed {
		fmt.Fprintf(&rows, "13,%s,%s,A,2\n", phone.National(), preferences)
	}
	file := filepath.Join(b.dir, "full.csv")
	if err := os.WriteFile(file, []byte(rows.String()), 0o600); err != nil {
		b.t.Fatal(err)
	}
	res, err := scrub.Import(b.t.Context(), b.store, b.dir, scrub.ImportRequest{
		Files: []string{file}, Mode: saaf.FullSet, EffectiveDate: day, By: saaf.By{Actor: "test"}, Override: "a small registry for a test"})
	if err != nil {
		b.t.Fatal(err)
	}
	serving, err := b.scrub.Load(b.t.Context())
	if err != nil || serving.Problem != "" || serving.Snapshot != res.Snapshot.ID {
		b.t.Fatalf("%+v, %v", serving, err)
	}
	return res.Snapshot.ID
}

// Numbers of the registry that fresh loads.
const (
	blocked = saaf.Phone(6000000001) // fully
	partly  = saaf.Phone(6000000002) // for some categories
)

// fresh loads a registry of today.
func (b *bundle) fresh() saaf.SnapshotID {
	b.t.Helper()
	return b.registry(saaf.DateOf(time.Now()), map[saaf.Phone]string{blocked: "0", partly: "2#3"})
}

// answer is a whole answer.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// do sends one request with the bundle's key. A body that is not empty is sent as
// JSON. The path begins behind the base, unless it names a whole one by "//".
func (b *bundle) do(method, path, body string, change ...func(*http.Request)) answer {
	b.t.Helper()
	if whole, ok := strings.CutPrefix(path, "//"); ok {
		path = "/" + whole
	} else {
		path = base + path
	}
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+b.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, f := range change {
		f(r)
	}
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, r)
	return answer{b.t, rec.Code, rec.Result().Header, rec.Body.String()}
}

// as sends with another key, none for "".
func as(key string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
	}
}

// with sets a header.
func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// is fails unless the answer has the status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// fails fails unless the answer is the error: status, code and detail.
func (a answer) fails(status int, code, detail string) {
	a.t.Helper()
	want := fmt.Sprintf(`{"detail":%s,"code":%q,"request_id":%q}`+"\n", detail, code, a.header.Get("X-Request-Id"))
	if a.status != status || a.body != want {
		a.t.Errorf("status %d: %s, want %d: %s", a.status, a.body, status, want)
	}
}

// wrong is the detail of a 422 with one field: "body.phone", its type.
func (a answer) wrong(loc, typ string) {
	a.t.Helper()
	got := a.fields()
	if a.status != 422 || len(got) != 1 || got[0] != loc+" "+typ {
		a.t.Errorf("status %d: %q, want 422: %s %s", a.status, got, loc, typ)
	}
}

// fields are all fields of a 422, as loc and type. Each must have a sentence.
func (a answer) fields() (list []string) {
	a.t.Helper()
	var body struct{ Detail []saaf.FieldError }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		a.t.Errorf("%v: %s", err, a.body)
	}
	for _, f := range body.Detail {
		if f.Msg == "" {
			a.t.Errorf("%v has no sentence", f)
		}
		list = append(list, strings.Join(f.Loc, ".")+" "+f.Type)
	}
	return list
}

// object is the answer as an object whose members are raw.
func (a answer) object() map[string]json.RawMessage {
	a.t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return members
}

// text is a member that is a string.
func (a answer) text(name string) (s string) {
	a.t.Helper()
	a.member(name, &s)
	return s
}

// raw is a member as it was written.
func (a answer) raw(member string) string {
	a.t.Helper()
	return string(a.object()[member])
}

// decode reads the answer as encoding/json does.
func (a answer) decode(into any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
}

// member reads a member as encoding/json does.
func (a answer) member(name string, into any) {
	a.t.Helper()
	if err := json.Unmarshal(a.object()[name], into); err != nil {
		a.t.Fatalf("%s: %v: %s", name, err, a.body)
	}
}

// campaign makes a campaign and returns its id. More are members of the body.
func (b *bundle) campaign(more ...string) string {
	b.t.Helper()
	members := append([]string{`"name":"Diwali","dial_mode":"progressive"`}, more...)
	return b.do("POST", "/campaigns", "{"+strings.Join(members, ",")+"}").is(201).text("id")
}

// in makes a campaign that is in the state.
func (b *bundle) in(state saaf.CampaignStatus) string {
	b.t.Helper()
	id := b.campaign()
	for _, action := range map[saaf.CampaignStatus][]string{
		saaf.CampaignRunning: {"start"}, saaf.CampaignPaused: {"start", "pause"}, saaf.CampaignCompleted: {"start", "stop"},
	}[state] {
		b.do("POST", "/campaigns/"+id+"/"+action, "").is(200)
	}
	return id
}

// push pushes one lead and returns its id.
func (b *bundle) push(campaign, phone string, more ...string) string {
	b.t.Helper()
	members := append([]string{fmt.Sprintf(`"phone":%q`, phone)}, more...)
	return b.do("POST", "/campaigns/"+campaign+"/leads", "{"+strings.Join(members, ",")+"}").is(201).text("id")
}

// logBuffer collects the log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// readAll reads all there is.
func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// cancelled is r from a caller that went away.
func cancelled(r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	return r.WithContext(ctx)
}
