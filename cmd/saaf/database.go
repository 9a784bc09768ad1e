package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"saaf"
	"saaf/store"
)

// dataFlags name the store of a command that works on it directly.
type dataFlags struct {
	DataDir string `default:"./saaf-data" env:"SAAF_DATA_DIR" placeholder:"DIR" help:"Data directory: the database and the registry snapshots (${default})."`
	databaseFlags
}

// databaseFlags name a database that takes the place of the embedded one.
type databaseFlags struct {
	DatabaseURL     string `name:"database-url" env:"SAAF_DATABASE_URL" placeholder:"URL" help:"PostgreSQL database in place of the embedded one, like postgres://saaf@db.internal/saaf. Each process opens up to 12 connections to it."`
	DatabaseURLFile string `name:"database-url-file" env:"SAAF_DATABASE_URL_FILE" placeholder:"FILE" help:"File that holds the database URL: a password in it is seen by nobody who lists processes."`
	SecretsDir      string `env:"SAAF_SECRETS_DIR" placeholder:"DIR" help:"Directory of pepper and signing.pem, the same for all processes on one database (the data directory)."`
}

// database says which database a process works on.
type database struct {
	url     string // PostgreSQL; "" for the embedded database in the data directory
	secrets string // directory of pepper and signing key; "" for the data directory
}

// database reads which database the flags name.
func (d databaseFlags) database() (database, error) {
	db := database{url: strings.TrimSpace(d.DatabaseURL), secrets: d.SecretsDir}
	if d.DatabaseURLFile == "" || db.url != "" && !fileWasNamed(d.DatabaseURL, "SAAF_DATABASE_URL", d.DatabaseURLFile, "SAAF_DATABASE_URL_FILE") {
		return db, nil
	}
	b, err := os.ReadFile(d.DatabaseURLFile)
	if err != nil {
		return db, err
	}
	if db.url = strings.TrimSpace(string(b)); db.url == "" {
		return db, fmt.Errorf("the file %s holds no database URL: write one into it, like postgres://saaf@db.internal/saaf", d.DatabaseURLFile)
	}
	return db, nil
}

// checkPlaces refuses what a command line says about where the store is and cannot be
// meant: an empty name, as of a variable that nobody has set, and two databases. An
// empty variable of the environment is one that is not set.
func checkPlaces(kctx *kong.Context) error {
	names := []string{"data-dir", "database-url", "database-url-file", "secrets-dir"}
	if kctx.Command() == "migrate" {
		names = append(names, "from", "to")
	}
	typed := map[string]bool{}
	for _, p := range kctx.Path {
		if p.Flag == nil || p.Resolved || !slices.Contains(names, p.Flag.Name) {
			continue
		}
		typed[p.Flag.Name] = true
		if strings.TrimSpace(p.Flag.Target.String()) == "" {
			return fmt.Errorf("--%s is empty, as of a variable that is not set: write what it should be, or leave the flag out", p.Flag.Name)
		}
	}
	for _, pair := range [][2]string{{"database-url", "database-url-file"}, {"to", "database-url"}, {"to", "database-url-file"}} {
		if typed[pair[0]] && typed[pair[1]] {
			return fmt.Errorf("--%s and --%s name two databases: leave one of them out", pair[0], pair[1])
		}
	}
	named := typed["database-url"] || typed["database-url-file"] || typed["to"]
	takes := slices.ContainsFunc(kctx.Flags(), func(f *kong.Flag) bool { return f.Name == "database-url-file" })
	if takes && !named && strings.TrimSpace(os.Getenv("SAAF_DATABASE_URL")) != "" && os.Getenv("SAAF_DATABASE_URL_FILE") != "" {
		return errors.New("SAAF_DATABASE_URL and SAAF_DATABASE_URL_FILE name two databases: unset one of them")
	}
	return nil
}

// fileWasNamed reports whether a file stands on the command line and the value that
// it would hold in the environment: what was typed counts.
func fileWasNamed(value, valueEnv, file, fileEnv string) bool {
	env := os.Getenv(fileEnv)
	return value == os.Getenv(valueEnv) && (env == "" || file != env && file != kong.ExpandPath(env))
}

// config is the configuration of a store in the database, for a command.
func (db database) config(dataDir string) store.Config {
	return store.Config{
		Dir: dataDir, URL: db.url, Secrets: db.secrets,
		// Any node but the server's: two commands in the same millisecond must
		// not make the same id.
		Node:    1 + rand.IntN(saaf.MaxNode),
		Readers: 2,
	}
}

// noStore says what to do where there is no store.
func (db database) noStore(dataDir string) error {
	if db.url != "" {
		return errors.New("there is no saaf store in the database: run saaf serve with it first, or pass another --database-url")
	}
	return fmt.Errorf("there is no saaf store in %s: run saaf serve first, or pass --data-dir", dataDir)
}

// place is where a new store was made.
func (db database) place(dataDir string) string {
	if db.url != "" {
		return "the database"
	}
	return dataDir
}

// newSecrets says where the secrets of a new store in a database are, which every other
// process on it needs.
func (db database) newSecrets(dataDir string) string {
	if db.url == "" {
		return ""
	}
	return "its pepper and signing.pem are in " + cmp.Or(db.secrets, dataDir) + ": copy both to every other machine, and keep a copy with your other secrets"
}

// connecting says that a database keeps this process waiting.
func (con *console) connecting(cfg store.Config) (done func()) {
	limit := store.ConnectLimit(cfg)
	if limit == 0 {
		return func() {}
	}
	return saying(func() {
		fmt.Fprintf(con.err, "Waiting for the database; one that does not answer is given up after %s\n", limit)
	})
}

// leftBehind warns of an embedded store beside a new one in a database, which somebody
// may believe to be the same.
func (db database) leftBehind(dataDir string) string {
	if _, err := os.Stat(filepath.Join(dataDir, "saaf.db")); db.url == "" || errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return "the store in the database is new and empty; the embedded one in " + dataDir + " is not used. saaf migrate moves it"
}

// environ is the environment of a process of ours on the same database. Arguments
// could be read by everybody on the machine.
func (db database) environ(environ []string) []string {
	var out []string
	for _, kv := range environ {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "SAAF_DATABASE_URL", "SAAF_DATABASE_URL_FILE", "SAAF_SECRETS_DIR":
		default:
			out = append(out, kv)
		}
	}
	if db.url != "" {
		out = append(out, "SAAF_DATABASE_URL="+db.url)
	}
	if db.secrets != "" {
		out = append(out, "SAAF_SECRETS_DIR="+db.secrets)
	}
	return out
}
