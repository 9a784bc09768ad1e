package api

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"saaf"
	"saaf/intake"
	"saaf/internal/apptest"
	"saaf/scrub"
	"saaf/scrubber"
)

// asking is a change of the setup after which a checker answers instead of the
// registry. Its findings count for an hour.
func asking(t *testing.T, checker *apptest.Checker) func(*Config) {
	t.Helper()
	file, err := checker.Config(t.TempDir(), string(saaf.Instead), map[string]any{"max_age": "1h"})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := scrubber.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	source, err := scrubber.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		registry := (&bundle{t: t}).empty()
		c.Scrub = scrub.NewService(scrub.Config{Store: c.Store, Registry: registry, Source: source, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
		c.Intake = intake.NewService(c.Store, registry, source, saaf.PhonePolicy{})
	}
}

// What an outside checker found clean is clean everywhere while it counts, and
// stale everywhere afterwards.
func TestFindingsOfACheckerAge(t *testing.T) {
	t.Parallel()
	checker := apptest.NewChecker() // outside of the bubble: it needs no clock
	t.Cleanup(checker.Close)
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, asking(t, checker))
		checker.Say("9876543212", "full")
		campaign := b.campaign()
		b.push(campaign, "9876543211")
		time.Sleep(time.Minute)
		b.push(campaign, "9876543212")
		b.push(campaign, "9876543213")
		leads := "/campaigns/" + campaign + "/leads"
		for _, c := range []struct {
			wait          time.Duration
			clean, unsure string // as many leads
		}{
			{0, "2", "0"}, {59 * time.Minute, "2", "0"}, {time.Millisecond, "1", "1"}, {time.Minute, "0", "2"},
		} {
			time.Sleep(c.wait)
			listed := b.do("GET", leads+"?dnd_clean=true", "").is(200).raw("items")
			if n := strings.Count(listed, `"dnd_reason":"not_registered"`); strconv.Itoa(n) != c.clean || strings.Contains(listed, "registry_stale") {
				t.Errorf("after %v more: %s clean leads are wanted, listed are %s", c.wait, c.clean, listed)
			}
			others := b.do("GET", leads+"?dnd_clean=false", "").is(200).raw("items")
			if n := strings.Count(others, `"dnd_reason":"registry_stale"`); strconv.Itoa(n) != c.unsure {
				t.Errorf("after %v more: %s stale leads are wanted, listed are %s", c.wait, c.unsure, others)
			}
			report := b.do("GET", "/campaigns/"+campaign+"/dnd-report", "").is(200)
			if report.raw("clean") != c.clean || report.raw("unchecked") != c.unsure || report.raw("blocked") != "1" {
				t.Errorf("after %v more the report is %s", c.wait, report.body)
			}
		}
	})
}

func TestStatusNamesTheChecker(t *testing.T) {
	t.Parallel()
	checker := apptest.NewChecker()
	t.Cleanup(checker.Close)
	b := setup(t, asking(t, checker))
	for _, path := range []string{"//readyz", "/dnd/registry"} {
		source := b.do("GET", path, "").is(200).raw("source")
		for _, part := range []string{`"name":"dlt"`, `"mode":"instead"`, `"circuit":"closed"`, "answers instead of the registry file"} {
			if !strings.Contains(source, part) {
				t.Errorf("%s: %s is not in %s", path, part, source)
			}
		}
	}
}
