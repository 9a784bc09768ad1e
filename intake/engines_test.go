package intake

import (
	"os"
	"testing"

	"saaf/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.RunOn(m, embeddedOnly, pgtest.Postgres)) }

const oneWriter = "it holds the one writer and waits in a bubble until all others stand still, which they never do on a socket"

var embeddedOnly = map[string]string{
	"TestCancelledPush":                oneWriter,
	"TestRegistryMovesBeforeTheCommit": oneWriter,
	"TestWaitingKeepsTheVerdict":       oneWriter,
}

func TestEngineTestsAreThere(t *testing.T) {
	t.Parallel()
	pgtest.CheckOnly(t)
}
