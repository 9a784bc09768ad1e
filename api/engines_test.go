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
}

func TestEngineTestsAreThere(t *testing.T) {
	t.Parallel()
	pgtest.CheckOnly(t)
}
