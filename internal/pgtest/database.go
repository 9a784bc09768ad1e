package pgtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Database makes a database for the test on the server that all tests of this
// process share, and returns its URL. It is a copy of a template, which the first
// caller's migrate has prepared; kind names the template. What a test leaves open
// is cut off, and the database dropped, when the test ends. Call it from as many
// tests at once as there are connections, 200 in all.
func Database(t testing.TB, kind string, migrate func(url string) error) string {
	t.Helper()
	if Current() == Citus {
		return OnCitus(t, kind, migrate)
	}
	return sharedServer(t).Database(t, kind, migrate)
}

// Empty is like [Database] without a template.
func Empty(t testing.TB) string {
	t.Helper()
	if Current() == Citus {
		return OnCitus(t, "empty", nil)
	}
	return sharedServer(t).Empty(t)
}

// Exec runs one statement behind the back of whatever else uses the database, and says
// how many rows it was about.
func Exec(ctx context.Context, database, statement string) (rows int64, err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, err
	}
	tag, err := conn.Exec(ctx, statement)
	return tag.RowsAffected(), errors.Join(err, conn.Close(ctx))
}

func sharedServer(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Database is like the function on this server, which has templates of its own.
func (s *Server) Database(t testing.TB, kind string, migrate func(url string) error) string {
	t.Helper()
	template := "template_" + kind
	s.mu.Lock()
	prepare := s.templates[kind]
	if prepare == nil {
		prepare = sync.OnceValue(func() error { return s.template(template, migrate) })
		s.templates[kind] = prepare
	}
	s.mu.Unlock()
	if err := prepare(); err != nil {
		t.Fatalf("prepare the template %q: %v", kind, err)
	}
	return s.create(t, kind, template)
}

// Empty is like the function on this server.
func (s *Server) Empty(t testing.TB) string {
	t.Helper()
	return s.create(t, "empty", "template0")
}

// template makes a database that nobody connects to after migrate has returned.
func (s *Server) template(name string, migrate func(url string) error) error {
	quoted := pgx.Identifier{name}.Sanitize()
	if err := s.exec("CREATE DATABASE " + quoted + " TEMPLATE template0"); err != nil {
		return err
	}
	if err := migrate(s.URL(name)); err != nil {
		return err
	}
	return s.exec("ALTER DATABASE " + quoted + " ALLOW_CONNECTIONS false")
}

func (s *Server) create(t testing.TB, kind, template string) string {
	t.Helper()
	s.mu.Lock()
	s.made++
	name := fmt.Sprintf("%s_%d", kind, s.made)
	s.mu.Unlock()
	quoted := pgx.Identifier{name}.Sanitize()
	if err := s.exec("CREATE DATABASE " + quoted + " TEMPLATE " + pgx.Identifier{template}.Sanitize() + " STRATEGY file_copy"); err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	if !s.private { // else it goes with the server, which may be down by then
		t.Cleanup(func() {
			if err := s.exec("DROP DATABASE " + quoted + " WITH (FORCE)"); err != nil {
				t.Errorf("drop database %s: %v", name, err)
			}
		})
	}
	return s.URL(name)
}
