package scrub

import (
	"os"
	"testing"

	"saaf/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.RunOn(m, embeddedOnly, pgtest.Postgres)) }

// Reasons why a test says nothing of PostgreSQL.
const (
	daysPass = "days pass in it by a clock that jumps, which a server has no part in"
	damages  = "it damages rows of SQLite; those of PostgreSQL are damaged in the tests of store and in audit_tampered.txtar"
)

var embeddedOnly = map[string]string{
	"TestPassThatLosesItsRegistry":          daysPass,
	"TestStaleRegistryChangesNothing":       daysPass,
	"TestPassOverABusyStore":                "it waits by a clock that jumps, past the limit of a transaction",
	"TestVerifyFindsEveryByteOfEntries":     damages,
	"TestVerifyFindsNumbersThatAreText":     damages,
	"TestVerifyFindsEveryByteOfCheckpoints": damages,
	"TestVerifyFindsWhatWasMoved":           damages,
	"TestVerifyFindsWrongCheckpoints":       damages,
	"TestVerifyAgainstLodgedCheckpoints":    damages,
	"TestVerifyLooksForTheEntriesOfLeads":   damages,
}

func TestEngineTestsAreThere(t *testing.T) {
	t.Parallel()
	pgtest.CheckOnly(t)
}
