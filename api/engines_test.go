package api

import (
	"os"
	"testing"

	"saaf/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.RunOn(m, embeddedOnly, pgtest.Postgres)) }

const daysPass = "days pass in it by a clock that jumps, which a server has no part in"

var embeddedOnly = map[string]string{
	"TestGolden":                 daysPass,
	"TestCheckDND":               daysPass,
	"TestReleaseWithoutAnAnswer": daysPass,
	"TestDNDReport":              daysPass,
	"TestVerdictsGrowOld":        daysPass,
	"TestRegistryAndReadiness":   daysPass,
	"TestOrderOfChecks":          "the minute of the rate limit must not end in it, by a clock that stands still",

	"TestImportThatCannotBeLoaded": "where servers share a store a file that is gone comes from there again",
}

func TestEngineTestsAreThere(t *testing.T) {
	t.Parallel()
	pgtest.CheckOnly(t)
}
