package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"
	"zombiezen.com/go/sqlite"

	"saaf/internal/pgtest"
)

// One suite of tests says what a store is, and every engine runs all of it. What is
// about one engine alone stands below.

// embeddedOnly are tests of what SQLite alone has, or alone promises.
var embeddedOnly = map[string]string{
	"TestOneServerPerDirectory":                theLock,
	"TestKillFreesTheLock":                     theLock,
	"TestLockOfThisProcess":                    theLock,
	"TestServingDoesNotTakeTheLock":            theLock,
	"TestLockIsNotABareError":                  theLock,
	"TestFilesArePrivate":                      theFile,
	"TestMustExistInADirectory":                theFile,
	"TestOpenRefusesWhatIsNoStore":             theFile,
	"TestConnectionsAreSafe":                   theFile,
	"TestWriteLockOfAnotherProcess":            theFile,
	"TestErasureWaitsForReaders":               theFile,
	"TestErasureBesideABackup":                 theFile,
	"TestErasedPeopleLeaveNoCopy":              theFile,
	"TestFreeSpaceIsOverwritten":               theFile,
	"TestFileIsLockedWithoutALog":              theFile,
	"TestRawFileStaysOpen":                     theFile,
	"TestCommitsAreCounted":                    theFile,
	"TestRawCommits":                           theFile,
	"TestBlocksAgainstIndex":                   theBlocks,
	"TestUniquenessIsSwitched":                 theBlocks,
	"TestPushesWaitForTheirRoster":             theBlocks,
	"TestPhoneMemoryIsBounded":                 theBlocks,
	"TestPurgeBesideAnErasure":                 theBlocks,
	"TestPhoneThatIsThereTwice":                theBlocks,
	"TestCopyIsOfOneMoment":                    theFile,
	"TestCopyOfWhatIsNoStore":                  theFile,
	"TestWriteBack":                            theFile,
	"TestWriteBackThatNeverBegins":             theFile,
	"TestFullDisk":                             "limits the pages of the file; that of PostgreSQL is a server's, and it says 53100, see TestCodesOfFailure",
	"TestDiskInDoubt":                          "an error of the file ends the process; what a server says is tried again, see TestCodesOfFailure",
	"TestMigrateOldStore":                      theFirst,
	"TestMigrateOldStoreWithoutRegistry":       theFirst,
	"TestBackfillIsOnePass":                    theFirst,
	"TestNoStatementWalksATable":               thePlan,
	"TestLeadStatements":                       thePlan,
	"TestSuppressionStatements":                thePlan,
	"TestStatements":                           theSource,
	"TestStatementRules":                       theSource,
	"TestMigrationsAreInOrder":                 theSource,
	"TestEveryByteIsGuarded":                   theBytes,
	"TestEveryRowIsGuarded":                    theBytes,
	"TestIDsGoOnAfterARestart":                 "the highest id is read when the file is opened; where node numbers are leased, see TestNodeNumbers",
	"TestEntryIDsGrowThoughClocksDiffer":       "processes share the one chain of a file; elsewhere each has chains of its own, which chain() follows",
	"TestIDsGrowInTheOrderOfCommits":           "writers beside each other commit in any order: on PostgreSQL the ids of one writer grow, no more",
	"TestBarrier":                              "with one writer the queue is the barrier; with several a barrier waits in the database",
	"TestBarrierWaitsForSmallJobs":             "with one writer the queue is the barrier; with several a barrier waits in the database",
	"TestMove":                                 theMove,
	"TestMovedStoreIsLeft":                     theMove,
	"TestMoveCutShortAtTheRelease":             theMove,
	"TestMoveGoesOn":                           theMove,
	"TestMoveComparesBothSides":                theMove,
	"TestMoveRefuses":                          theMove,
	"TestMoveKeepsWritersOut":                  theMove,
	"TestEveryTableIsMoved":                    theMove,
	"TestDistribution":                         "about the statements for a cluster, of a database that it makes itself",
	"TestDistributionGoesOn":                   "about the statements for a cluster, of a database that it makes itself",
	"TestDistribute":                           "about the statements for a cluster, of a database that it makes itself",
	"TestDistributeWithoutACluster":            "makes its database itself",
	"TestDeletionCountsItsLeads":               "a deletion shares a transaction with a push; elsewhere it is alone in its campaign",
	"TestPurgeWaitsWhenTheStoreIsBusy":         "about a pause of the purge, which lasts seconds without a bubble and is the same code",
	"TestWorkEndsWithItsLease":                 "blocks the one writer, so that nothing is renewed",
	"TestLeasesOfTheServerBefore":              theOne,
	"TestServers":                              theOne,
	"TestStoredBatchIsNotAnErrorWhenReadsFail": "takes away the connections for reading; where writers share them, see TestAnswersOutliveReads",
}

const (
	theLock   = "the serve lock is a file of the data directory"
	theOne    = "one server at a time has the data directory; elsewhere several run, see TestServersBesideEachOther"
	theFile   = "about the file of SQLite, its log, its locks or its pages"
	theBlocks = "the embedded store alone keeps phones by blocks; elsewhere a unique index does"
	theFirst  = "there are stores of the first schema in SQLite alone"
	thePlan   = "asks SQLite for its plan; for that of PostgreSQL see TestPartitions"
	theSource = "reads the source, which is one for all engines"
	theMove   = "moves an embedded store into a database that it makes itself"
	theBytes  = "changes every byte of rows by their rowid; what reads them is one for all engines"
)

// onPostgres are tests of what is true of PostgreSQL whether its tables are
// partitioned or not.
var onPostgres = map[string]string{
	"TestPoolerIsExplained":               "a setting of the server, for which it does not matter where rows are",
	"TestEncryptionIsExplained":           "a setting of the server, for which it does not matter where rows are",
	"TestUselessDatabaseIsExplained":      "a setting of the server, for which it does not matter where rows are",
	"TestDocumentedURLs":                  "about URLs, for which it does not matter where rows are",
	"TestDocumentedConnections":           "makes no connection",
	"TestForgetfulDatabaseIsRefused":      "a setting of the server, for which it does not matter where rows are",
	"TestBadURLIsNotRepeated":             "reads a URL, without any database",
	"TestClaimsAtOnce":                    theOthers,
	"TestServersBesideEachOther":          theOthers,
	"TestBarrierOverProcesses":            theOthers,
	"TestRecheckByAReplacedSnapshot":      theOthers,
	"TestClaimWaitsForWritesUnderWay":     theOthers,
	"TestUseKeys":                         theOthers,
	"TestPurgeOfTheDead":                  theOthers,
	"TestPostgresTakesEveryStatement":     "prepares statements, for which it does not matter where rows are",
	"TestCommitOfUnknownOutcome":          theLink,
	"TestCommitOfUnknownOutcomeOvertaken": theLink,
	"TestAnswersOutliveReads":             theLink,
	"TestCodesOfFailure":                  theLink,
	"TestChangesWaitForPushes":            "one writer does nothing beside another; with several it does not matter where rows are",
	"TestDeadlock":                        theLink,
	"TestIsolationIsOurs":                 theLink,
	"TestSuppressAgainSpreads":            "a change of the lists and its leads are one transaction where one can touch all campaigns",
	"TestSpreadLeft":                      "a change of the lists and its leads are one transaction where one can touch all campaigns",
	"TestNodeNumbers":                     theNodes,
	"TestNodeNumberIsLost":                theNodes,
	"TestServerGoesAway":                  theLink,
	"TestServerStaysAway":                 theLink,
	"TestPushesDoNotOvertakeChanges":      theOthers,
	"TestPausedTransactionIsOver":         theLink,
	"TestSpreadGoesOn":                    theWriters,
	"TestLongReadsHoldNoGlance":           theWriters,
	"TestLocksHoldNobodyElse":             theWriters,
	"TestLeasesHoldNoHeartbeat":           theWriters,
	"TestReadsHoldNoWriter":               theWriters,
}

const (
	theOthers  = "several processes serve from one database, each with a data directory of its own"
	theLink    = "about a connection that can be lost, for which it does not matter where rows are"
	theWriters = "several writers wait for locks, each for its own"
	theNodes   = "node numbers are leased where several processes run, for which it does not matter where rows are"
)

// onPartitions are tests of the partitions.
var onPartitions = map[string]string{
	"TestPartitions":                   thePartitions,
	"TestPartitionRule":                thePartitions,
	"TestWatcher":                      "what it watches for matters there",
	"TestTransactionsTouchOneCampaign": "what it watches for matters there",
}

const thePartitions = "there are partitions to look into"

func TestEngineTestsAreThere(t *testing.T) {
	t.Parallel()
	pgtest.CheckOnly(t)
}

// clock stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// clocks are those of the tests in timeless: testing.TB to *clock.
var clocks sync.Map

func clockOf(t tester) *clock {
	c, _ := clocks.Load(t)
	found, _ := c.(*clock)
	return found
}

// timeless runs a test in which no time passes but what it lets pass. On the embedded
// engine it has a bubble to itself. A real server has no part in one: there the stores
// of the test get a clock, and their pauses and time limits are real.
func timeless(t *testing.T, test func(*testing.T)) {
	if !pgtest.Served() {
		synctest.Test(t, test)
		return
	}
	clocks.Store(t, &clock{at: time.Now().UTC().Truncate(time.Millisecond)})
	defer clocks.Delete(t)
	test(t)
}

// now is the time by the clock of the store.
func (b *bundle) now() time.Time {
	if b.clock != nil {
		return b.clock.now()
	}
	return time.Now().UTC()
}

// pass lets time pass, in a test in timeless.
func (b *bundle) pass(d time.Duration) {
	if b.clock != nil {
		b.clock.move(d)
		return
	}
	<-time.After(d)
}

// until waits for something to come true that others are about to do, in a test in
// timeless.
func (b *bundle) until(what string, true func() bool) {
	b.t.Helper()
	if !pgtest.Served() {
		synctest.Wait()
		if !true() {
			b.t.Fatal("everything waits, and still not: " + what)
		}
		return
	}
	eventually(b.t, what, true)
}

// eventually waits for something to come true, for half a minute.
func eventually(t tester, what string, true func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for !true() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatal("not after half a minute: " + what)
		}
	}
}

// waiting waits until so many jobs are in the queue.
func (b *bundle) waiting(n int) {
	b.t.Helper()
	b.until("as many jobs wait as were sent", func() bool { return queued(b.Store) == int64(n) })
}

// outside is another connection to the database, as an operator would open one.
func (b *bundle) outside() session {
	b.t.Helper()
	if b.cfg.URL == "" {
		return b.connect()
	}
	conn, err := pgx.Connect(b.ctx, b.cfg.URL)
	b.must(err)
	b.t.Cleanup(func() { _ = conn.Close(b.ctx) })
	return pgSession{b.ctx, conn}
}

// configured is a configuration of a store on the engine that the tests run on.
func configured(t tester, cfg Config) Config {
	onEngine(t, &cfg)
	return cfg
}

// empty lets the store of a directory begin with an empty database.
func empty(t testing.TB, dir string) {
	t.Helper()
	if !pgtest.Served() {
		return
	}
	url := pgtest.Empty(t)
	databases.Lock()
	defer databases.Unlock()
	if databases.urls == nil {
		databases.urls = make(map[string]string)
	}
	databases.urls[dir] = url
}

// alone waits until the database has let go of what a process left that was killed.
func (b *bundle) alone() {
	b.t.Helper()
	if b.cfg.URL == "" {
		return // the kernel has
	}
	raw, err := pgx.Connect(b.ctx, b.cfg.URL)
	b.must(err)
	defer raw.Close(b.ctx)
	conn := pgSession{b.ctx, raw}
	eventually(b.t, "nobody else is connected", func() bool {
		n := -1
		b.must(conn.query(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
			func(r row) error { n = r.int(); return nil }))
		return n == 0
	})
}

// isConstraint reports that the database refused a row.
func isConstraint(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code[:2] == "23" || sqlite.ErrCode(err).ToPrimary() == sqlite.ResultConstraint
}

// in is the scope of a push to the campaign of the bundle.
func (b *bundle) in() scope { return scope{campaign: b.campaign, shared: true} }

// check is a check of rapid as a test that makes databases, which go with it.
type check struct {
	testing.TB
	rt *rapid.T
}

func (c check) Helper()                           { c.rt.Helper() }
func (c check) Error(args ...any)                 { c.rt.Error(args...) }
func (c check) Errorf(format string, args ...any) { c.rt.Errorf(format, args...) }
func (c check) Log(args ...any)                   { c.rt.Log(args...) }
func (c check) Fatal(args ...any)                 { c.rt.Fatal(args...) }
func (c check) Fatalf(format string, args ...any) { c.rt.Fatalf(format, args...) }
func (c check) Cleanup(f func())                  { c.rt.Cleanup(f) }
func (c check) Context() context.Context          { return c.rt.Context() }
