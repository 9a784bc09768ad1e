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
	theirOwn = "its nodes work on PostgreSQL whatever the engine is"
	alone    = "it is about a process that is alone on its store"
	fetched  = "on PostgreSQL a file that is missing or damaged here is fetched: TestCommandsFetch, TestDamageInTheStore"
	damages  = "it damages rows of SQLite; those of PostgreSQL are damaged in the tests of store and in audit_tampered.txtar"
)

var embeddedOnly = map[string]string{
	"TestImportReachesEveryNode":            theirOwn,
	"TestDeltasTravelAsDeltas":              theirOwn,
	"TestNodeStartsBehind":                  theirOwn,
	"TestNodesThatDoNotGetReady":            theirOwn,
	"TestImportCancelledWhileItWaits":       theirOwn,
	"TestDamageOnTheWay":                    theirOwn,
	"TestDamageInTheStore":                  theirOwn,
	"TestFilesComeWithTheFirstNode":         theirOwn,
	"TestDamagedFileIsNotPublished":         theirOwn,
	"TestPublishGoesOn":                     theirOwn,
	"TestTwoImportersOfOneStore":            theirOwn,
	"TestFilesThatAreKeptEverywhere":        theirOwn,
	"TestTidyingSparesWhatIsPrepared":       theirOwn,
	"TestCommandsFetch":                     theirOwn,
	"TestSweepWithoutTheOldSnapshot":        fetched,
	"TestImportMendsASpoiltFile":            fetched,
	"TestRollBackToADamagedSnapshot":        fetched,
	"TestImportOfMissingFiles":              fetched,
	"TestDeltaOverADamagedBase":             fetched,
	"TestNothingIsPublishedAlone":           alone,
	"TestShelfHoldsWhatIsInUse":             alone,
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
