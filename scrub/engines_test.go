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
	mends    = "where servers share a store a spoilt file comes from there again: see heal_test.go"
	itsOwn   = "it makes a database on PostgreSQL itself, whatever the engine"
	damages  = "it damages rows of SQLite; those of PostgreSQL are damaged in chains_test.go"
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
	"TestVerifyLooksAtTheBlocks":            damages,

	"TestEvidencePathLimits":              "its entries are in one chain; where leads and checks have each their own, see TestEvidenceOfSeveralChains",
	"TestImportCancelledBeforeItIsActive": "a push holds the one writer; where lanes have their own it holds no activation",

	"TestNothingIsPublishedAlone":    "about the embedded store alone",
	"TestShelfHoldsWhatIsInUse":      "about the embedded store alone",
	"TestSweepWithoutTheOldSnapshot": mends,
	"TestImportMendsASpoiltFile":     mends,
	"TestRollBackToADamagedSnapshot": mends,
	"TestImportOfMissingFiles":       mends,
	"TestDeltaOverADamagedBase":      mends,

	"TestDamageOnTheWay": itsOwn, "TestDamageInTheStore": itsOwn, "TestFilesComeWithTheFirstNode": itsOwn,
	"TestDamagedFileIsNotPublished": itsOwn, "TestPublishGoesOn": itsOwn, "TestTwoImportersOfOneStore": itsOwn,
	"TestFilesThatAreKeptEverywhere": itsOwn, "TestTidyingSparesWhatIsPrepared": itsOwn, "TestCommandsFetch": itsOwn,
	"TestImportReachesEveryNode": itsOwn, "TestDeltasTravelAsDeltas": itsOwn, "TestNodeStartsBehind": itsOwn,
	"TestNodesThatDoNotGetReady": itsOwn, "TestUnknownWhileItIsVerified": itsOwn, "TestImportCancelledWhileItWaits": itsOwn,
}

func TestEngineTestsAreThere(t *testing.T) {
	t.Parallel()
	pgtest.CheckOnly(t)
}
