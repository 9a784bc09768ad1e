package pgtest

import (
	"fmt"
	"net"
	"net/url"
	"testing"
)

// bouncerConnections is how many connections a pooler keeps to its database, fewer
// than clients may have to the pooler.
const bouncerConnections = 10

// Without a name in front of it, the line of databases is for all of them. The
// retry is that of a server that comes back after Kill and Start.
const bouncerConfig = `
[databases]
* = host=%s port=%s user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 500
server_login_retry = 1
`

// Bouncer puts a pgbouncer in transaction mode in front of a database of
// [Database], [Empty] or [New], and returns the URL through it. It has 10
// connections to the database and takes 500. A client must not rely on a prepared
// statement or a setting of the session: with pgx, default_query_exec_mode=exec.
// The pooler is gone when the test ends.
func Bouncer(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHome(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	for range 3 { // somebody else may take the port first
		if err = h.bouncer(u); err == nil {
			return u.String()
		}
	}
	t.Fatal(err)
	return ""
}

// bouncer starts a pooler and puts its address in place of that of u.
func (h *home) bouncer(u *url.URL) error {
	pgbouncer, err := lookPath("pgbouncer")
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	config, err := h.write("pgbouncer.ini",
		fmt.Sprintf(bouncerConfig, u.Hostname(), u.Port(), u.User.Username(), port, bouncerConnections))
	if err != nil {
		return err
	}
	through := *u
	through.Host = net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	plain := through
	plain.RawQuery = ""
	_, err = h.run("pgbouncer", h.command(pgbouncer, config), func() error {
		return execute(plain.String(), "SELECT 1")
	})
	if err == nil {
		*u = through
	}
	return err
}
