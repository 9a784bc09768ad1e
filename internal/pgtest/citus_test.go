package pgtest

import (
	"testing"
)

// What a test does in its schema nobody else sees, and nothing of it stays.
func TestSchemas(t *testing.T) {
	t.Parallel()
	database := Empty(t)
	prepare := func(url string) error { return execute(url, "CREATE TABLE things (id BIGINT)") }
	count := func(url string) int64 {
		t.Helper()
		n, err := Exec(t.Context(), url, "SELECT id FROM things")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var first string
	t.Run("of a test", func(t *testing.T) {
		first = schema(t, database, "kind", prepare)
		second := schema(t, database, "kind", prepare)
		if err := execute(first, "INSERT INTO things VALUES (1), (2)"); err != nil {
			t.Fatal(err)
		}
		if a, b := count(first), count(second); a != 2 || b != 0 {
			t.Errorf("%d and %d rows", a, b)
		}
		if err := execute(database, "SELECT id FROM things"); err == nil {
			t.Error("it is seen outside")
		}
	})
	if err := execute(first, "SELECT id FROM things"); err == nil {
		t.Error("it is there when the test has ended")
	}
}
