package store

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// unreadable is why a database URL is of no use, without a word of it.
func unreadable(err error) error {
	why := withoutURL(err)
	switch {
	case strings.Contains(why, "sslmode is invalid"):
		return errors.New("the database URL asks for an unknown sslmode: use verify-full, verify-ca, require, prefer, allow or disable")
	case strings.Contains(why, "configure TLS"):
		return fmt.Errorf("the database URL names files for TLS that are of no use: correct sslrootcert, sslcert and sslkey in it: %s", why)
	}
	return fmt.Errorf("the database URL must be like postgres://user@host:5432/name: %s", why)
}

// explained says what to do about a database that answers, and will not be of use
// however often it is tried.
func explained(err error) error {
	if pg, answered := errors.AsType[*pgconn.PgError](err); answered {
		if say := explainedState(pg); say != "" {
			return fmt.Errorf("%s (%w)", say, pg)
		}
		return err
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("its certificate is signed by nobody this machine knows: name the certificate of the authority with sslrootcert=FILE in the database URL (%w)", unknown)
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("its certificate is for another name than the host in the database URL: write the host as the certificate names it (%w)", name)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return fmt.Errorf("its certificate is not valid: renew it (%w)", invalid)
	}
	if err != nil && strings.Contains(err.Error(), "server refused TLS") {
		return errors.New("it does not speak TLS, and the sslmode of the database URL asks for it: switch ssl on in the database, " +
			"or write sslmode=disable where nobody else can listen (server refused TLS connection)")
	}
	return err
}

// explainedState is explained for what the database says itself, "" for nothing.
func explainedState(pg *pgconn.PgError) string {
	switch {
	case pg.Code == "28000" && strings.Contains(pg.Message, "pg_hba.conf"):
		return "its pg_hba.conf has no line that lets this user in from here: add one, or correct user, database and sslmode in the database URL"
	case pg.Code == "28P01", pg.Code == "28000":
		return "it does not let in the user of the database URL with this password: correct them, special characters of the password as %2F and the like"
	case pg.Code == "3D000":
		return "there is no such database on the server: make it with CREATE DATABASE, or correct its name in the database URL"
	case pg.Code == "42501":
		return "its user has too few rights: saaf makes its own tables, so let the user own the database"
	case pg.Code == "25006":
		return "it takes no writes: name the primary in the database URL and not a replica, or see default_transaction_read_only"
	}
	return ""
}

// pooled explains a database whose connections change under a pooler between two
// statements.
func pooled(err error) error {
	pg, answered := errors.AsType[*pgconn.PgError](err)
	if !answered || pg.Code != "42P05" && pg.Code != "26000" && (pg.Code != "08P01" || !strings.Contains(pg.Message, "prepared statement")) {
		return err
	}
	return fmt.Errorf("a pooler stands in front of the database, and the database URL does not say so: add default_query_exec_mode=exec to it, "+
		`see "Behind a pooler" in docs/postgres.md (%w)`, err)
}

// ConnectLimit is after how long a database that does not answer is given up, 0 where
// none is named.
func ConnectLimit(cfg Config) time.Duration {
	parsed, err := pgxpool.ParseConfig(cfg.URL)
	if cfg.URL == "" || err != nil {
		return 0
	}
	conn := parsed.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	return conn.ConnectTimeout * time.Duration(1+len(conn.Fallbacks))
}

// connectTimeout is how long one address of the database is waited for, where the URL
// does not say.
const connectTimeout = 5 * time.Second
