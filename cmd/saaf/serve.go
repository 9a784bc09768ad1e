package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"saaf"
	"saaf/auth"
	"saaf/dnd"
	"saaf/scrub"
	"saaf/store"
)

type serveCmd struct {
	dataFlags
	Listen          string        `default:"127.0.0.1:8080" env:"SAAF_LISTEN" placeholder:"ADDRESS" help:"Address to listen on (${default})."`
	AllowFixedLines bool          `env:"SAAF_ALLOW_FIXED_LINES" help:"Also accept fixed lines that start with 1 to 5 (Delhi 011, Mumbai 022, ...)."`
	RegistryMaxAge  time.Duration `default:"168h" env:"SAAF_REGISTRY_MAX_AGE" placeholder:"DURATION" help:"Age from which the registry no longer answers, as 5d or 36h; at most 7d (${default})."`
	ScrubberConfig  string        `env:"SAAF_SCRUBBER_CONFIG" type:"path" placeholder:"FILE" help:"Configuration of an outside checker that is asked over HTTP, beside the registry or instead of it."`
	MaxBody         size          `default:"16777216" env:"SAAF_MAX_BODY" placeholder:"BYTES" help:"Largest request body, in bytes or as 16M (${default})."`
	Uniqueness      string        `default:"blocks" enum:"blocks,index" env:"SAAF_UNIQUENESS" help:"How the embedded store keeps a phone once in a campaign: blocks, whose cost stays the same, or index, a unique index, which they are compared with. A store is changed over when it is started, in one transaction, and the server listens when that is done: for each million leads some 10 seconds to blocks, and 30 to the index (${default})."`
	PhoneMemory     size          `default:"536870912" env:"SAAF_PHONE_MEMORY" placeholder:"BYTES" help:"Memory for the phones of campaigns in the embedded store, in bytes or as 512M, 10 to 12 bytes a lead; those that were not pushed to for the longest time are dropped, and read again when leads come in (${default})."`
	LogFormat       string        `default:"text" enum:"text,json" env:"SAAF_LOG_FORMAT" help:"Log as text or json, on standard error (${default})."`
	LogLevel        string        `default:"info" enum:"debug,info,warn,error" env:"SAAF_LOG_LEVEL" help:"debug, info, warn or error (${default})."`
}

func (c *serveCmd) Run(ctx context.Context, con *console) error {
	if err := knownSettings(os.Environ()); err != nil {
		return err
	}
	if c.MaxBody < 1 {
		return &usageError{"--max-body must be a number of bytes above 0"}
	}
	if c.PhoneMemory < 1 {
		return &usageError{"--phone-memory must be a number of bytes above 0"}
	}
	if err := positiveAge(c.RegistryMaxAge); err != nil {
		return err
	}
	if err := (dnd.Config{MaxAge: c.RegistryMaxAge}).Validate(); err != nil {
		return &usageError{"--registry-max-age: " + err.Error()}
	}
	log, err := newLogger(con.err, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	program, err := thisProgram()
	if err != nil {
		log.Warn("imports over the API are done in this process: its own program is not to be found", "error", err)
	}
	source, err := loadSource(c.ScrubberConfig, log)
	if err != nil {
		return err
	}
	db, err := c.database()
	if err != nil {
		return err
	}
	srv, err := startServer(ctx, serverConfig{
		DataDir: c.DataDir, Database: db, Listen: c.Listen, Log: log, MaxBody: int64(c.MaxBody),
		Uniqueness:     store.Uniqueness(c.Uniqueness),
		PhoneMemory:    int64(c.PhoneMemory),
		Policy:         saaf.PhonePolicy{FixedLines: c.AllowFixedLines},
		RegistryMaxAge: c.RegistryMaxAge,
		Program:        program,
		Source:         source,
	})
	if err != nil {
		return err
	}
	if srv.store.Fresh() {
		if note := db.newSecrets(c.DataDir); note != "" {
			log.Info("made a new store in the database: " + note)
		}
		if note := db.leftBehind(c.DataDir); note != "" {
			log.Warn(note)
		}
	}
	err = greet(ctx, con, srv)
	if err != nil {
		srv.stop()
	}
	return errors.Join(err, srv.wait())
}

// positiveAge refuses an age limit of nothing, which elsewhere means the default
// and would be the widest limit where somebody asked for the narrowest.
func positiveAge(limit time.Duration) error {
	if limit <= 0 {
		return &usageError{"--registry-max-age must be above 0, for instance 24h"}
	}
	return nil
}

// knownSettings refuses environment variables that look like settings and are
// none: somebody who believes to have switched something on or off must be told,
// above all where they tried to switch the check off.
func knownSettings(environ []string) error {
	known := map[string]bool{"SAAF_URL": true, "SAAF_KEY": true, "SAAF_KEY_FILE": true}
	for _, name := range settingNames {
		known[name] = true
	}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(strings.ToUpper(name), "SAAF_") || known[name] || kubernetes.MatchString(name) {
			continue
		}
		return &usageError{fmt.Sprintf("the environment variable %s is not a setting of saaf: unset it. The registry check has no switch", name)}
	}
	return nil
}

// kubernetes matches what Kubernetes sets for a service that is called saaf.
var kubernetes = regexp.MustCompile(`^SAAF_(SERVICE_HOST|SERVICE_PORT(_HTTPS?)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$`)

// settingNames are the environment variables of serve; a test compares them with
// its flags.
var settingNames = []string{"SAAF_DATA_DIR", "SAAF_DATABASE_URL", "SAAF_DATABASE_URL_FILE", "SAAF_SECRETS_DIR", "SAAF_LISTEN", "SAAF_ALLOW_FIXED_LINES", "SAAF_REGISTRY_MAX_AGE",
	"SAAF_SCRUBBER_CONFIG", "SAAF_MAX_BODY", "SAAF_UNIQUENESS", "SAAF_PHONE_MEMORY", "SAAF_LOG_FORMAT", "SAAF_LOG_LEVEL"}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

// greeting is what serve prints when it is up.
type greeting struct {
	URL      string        `json:"url"`
	TenantID saaf.TenantID `json:"tenant_id,omitzero"` // set on the first start
	LiveKey  string        `json:"live_key,omitempty"` // set on the first start
	TestKey  string        `json:"test_key,omitempty"` // set on the first start
}

// greet makes the first tenant and its keys on an empty store, and says where
// the server is.
func greet(ctx context.Context, con *console, srv *server) error {
	g := greeting{URL: srv.url()}
	made, tenant, secrets, err := firstStart(ctx, srv.store)
	if err != nil {
		return err
	}
	if made {
		g.TenantID, g.LiveKey, g.TestKey = tenant.ID, string(secrets[0]), string(secrets[1])
	}
	return con.result(g, func(w io.Writer) {
		if made {
			fmt.Fprintf(w, "First start: made the tenant %q (%s) and two keys. They are shown this once:\n\n", tenant.Name, tenant.ID)
			fmt.Fprintf(w, "  live key  %s\n  test key  %s\n\n", g.LiveKey, g.TestKey)
		}
		fmt.Fprintf(w, "saaf is listening on %s\n", g.URL)
		for _, warning := range srv.scrub.Status(time.Now()).Warnings {
			fmt.Fprintf(w, "Note: %s\n", warning)
		}
	})
}

// firstStart makes the tenant "default" with a live and a test key, if the store
// has no tenant.
func firstStart(ctx context.Context, st *store.Store) (made bool, tenant saaf.Tenant, secrets []saaf.Secret, err error) {
	var keys []store.NewKey
	for _, env := range []saaf.Environment{saaf.Live, saaf.Test} {
		key, secret, err := auth.NewKey(auth.KeySpec{Environment: env, Label: "first start"})
		if err != nil {
			return false, tenant, nil, err
		}
		keys, secrets = append(keys, key), append(secrets, secret)
	}
	made, tenant, _, err = st.FirstStart(ctx, keys)
	return made, tenant, secrets, err
}

// registryDir is where the snapshots of the data directory live.
func (d dataFlags) registryDir() string { return scrub.RegistryDir(d.DataDir) }
