package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"saaf/backup"
	"saaf/scrub"
	"saaf/store"
)

type backupCmd struct {
	Dir      string `arg:"" help:"Directory that the backup is to be: empty, or not there yet, in one that is there."`
	WithKeys bool   `help:"Put pepper and signing.pem into the backup, too, in a directory keys of their own."`
	dataFlags
}

func (backupCmd) Help() string {
	return `Works beside a server, which goes on. Everything that was acknowledged before the backup began is in it: the database as it
was at that moment, and copies of the registry snapshots that are kept, so that it takes as much room as they do. The directory has its name only when all of it is on the disk;
one that was cut short is called DIR.partial and is removed by the next backup of that name.

Without pepper and signing.pem a backup cannot be restored. They are not in it unless --with-keys says so: keep a copy of
them apart, because who has both can match numbers with evidence and sign it. API keys are in it as hashes.

It holds the numbers of people, also of those who are erased later: let backups expire, and keep them private.
sha256sum -c SHA256SUMS checks one that was copied elsewhere.

    saaf backup /mnt/backups/` + today() + `
    saaf backup /mnt/backups/with-keys --with-keys`
}

type restoreCmd struct {
	Dir string `arg:"" help:"Directory that saaf backup has made."`
	dataFlags
}

func (restoreCmd) Help() string {
	return `Puts the store into the data directory, in which there must be none. Every file is compared with the backup's SHA-256 first;
when one is not as it was, nothing is restored. One that was cut short can be run again.

The keys come from the backup, when they are in it, unless they are in the data directory or in --secrets-dir already.
What was done after the backup is not in it: revoke keys, add opt-outs, erase people and import registry files once more.
The store that was backed up must not be served any more, since both would go on with one ledger.

    saaf restore /mnt/backups/` + today() + ` --data-dir ./restored
    saaf restore /mnt/backups/` + today() + ` --data-dir ./restored --secrets-dir /etc/saaf`
}

// backedUp is what saaf backup prints.
type backedUp struct {
	Dir   string `json:"dir"`
	Bytes int64  `json:"bytes"`
	*backup.Manifest
}

func (c *backupCmd) Run(ctx context.Context, con *console) error {
	db, err := c.embedded(c.Dir, "back it up with pg_dump, or with pg_basebackup and its log. pepper and signing.pem of --secrets-dir are not in the "+
		"database: keep a copy of them apart. Other local files need none; docs/postgres.md says more")
	if err != nil {
		return err
	}
	secrets := cmp.Or(db.secrets, c.DataDir)
	req := backup.Request{
		DataDir: c.DataDir, Registry: c.registryDir(), Keep: scrub.KeepSnapshots, Dir: c.Dir, Aside: standBack,
	}
	req.Program, _ = buildVersion()
	if c.WithKeys {
		req.Keys = secrets
	}
	if there, err := store.Exists(ctx, store.Config{Dir: c.DataDir}); err != nil {
		return err
	} else if !there {
		return db.noStore(c.DataDir)
	}
	release, err := scrub.HoldFiles(req.Registry)
	if err != nil {
		return err
	}
	bar := backupBar{progressLine{con: con}}
	req.Progress = bar.show
	req.Begin = func(bytes int64) {
		fmt.Fprintf(con.err, "The backup takes about %s in %s\n", inBytes(bytes), c.Dir)
	}
	var m *backup.Manifest
	made := make(chan error, 1)
	go func() { // whose thread stands back
		var err error
		m, err = backup.Make(ctx, req)
		made <- err
	}()
	err = errors.Join(<-made, release())
	bar.line.finish()
	if errors.Is(err, store.ErrNoStore) {
		return db.noStore(c.DataDir)
	}
	if err != nil {
		return err
	}
	return con.result(&backedUp{c.Dir, m.Bytes(), m}, func(w io.Writer) { c.print(w, m, secrets) })
}

func (c *backupCmd) print(w io.Writer, m *backup.Manifest, secrets string) {
	fmt.Fprintf(w, "Backed up %s as of %s into %s: %s, %s.\n", m.Deployment, shortTime(m.At), c.Dir, counted(len(m.Files), "file", "files"), inBytes(m.Bytes()))
	fmt.Fprintf(w, "%-12s seq %d, hash %s\n", "ledger", m.Ledger.Seq, m.Ledger.Hash)
	if m.Snapshot != nil {
		fmt.Fprintf(w, "%-12s %s of %s\n", "registry", m.Snapshot.ID, m.Snapshot.EffectiveDate)
	}
	for _, warning := range m.Warnings {
		fmt.Fprintf(w, "Warning: %s\n", warning)
	}
	if m.Keys {
		fmt.Fprintf(w, "The keys of the store are in %s: move them to where your other secrets are, apart from the backup.\n", filepath.Join(c.Dir, "keys"))
	} else {
		fmt.Fprintf(w, "The keys of the store are not in it, and without them it cannot be restored: keep a copy of pepper and signing.pem from %s apart.\n", secrets)
	}
}

// embedded refuses a store in a database, and an empty name of a directory.
func (d dataFlags) embedded(dir, instead string) (database, error) {
	if strings.TrimSpace(dir) == "" {
		return database{}, &usageError{"DIR is empty, as of a variable that is not set: name the directory of the backup"}
	}
	db, err := d.database()
	if err == nil && db.url != "" {
		err = &usageError{"the store is in a PostgreSQL database: " + instead}
	}
	return db, err
}

// restored is what saaf restore prints.
type restored struct {
	DataDir    string   `json:"data_dir"`
	SecretsDir string   `json:"secrets_dir"`
	Next       []string `json:"next"` // commands, to be run in this order
	*backup.Manifest
}

func (c *restoreCmd) Run(ctx context.Context, con *console) error {
	db, err := c.embedded(c.Dir, "restore it with pg_restore, or from its base backup, and put pepper and signing.pem into --secrets-dir; docs/postgres.md says more. "+
		"A backup of an embedded store is restored without --database-url, and moved with saaf migrate")
	if err != nil {
		return err
	}
	bar := backupBar{progressLine{con: con}}
	req := backup.RestoreRequest{
		Dir: c.Dir, DataDir: c.DataDir, Registry: c.registryDir(), Keys: cmp.Or(db.secrets, c.DataDir), Progress: bar.show,
	}
	m, err := backup.Restore(ctx, req)
	bar.line.finish()
	if locked, ok := errors.AsType[*store.LockedError](err); ok {
		return fmt.Errorf("a saaf serve (%s) uses the data directory %s: name another one with --data-dir", locked.Who(), c.DataDir)
	}
	if err != nil {
		return err
	}
	flags := " --data-dir " + quoted(c.DataDir)
	if db.secrets != "" {
		flags += " --secrets-dir " + quoted(db.secrets)
	}
	done := &restored{c.DataDir, req.Keys, []string{"saaf audit verify" + flags, "saaf serve" + flags}, m}
	return con.result(done, func(w io.Writer) { done.print(w) })
}

func (r *restored) print(w io.Writer) {
	fmt.Fprintf(w, "Restored %s into %s as it was on %s: every file is as it was backed up.\n", r.Deployment, r.DataDir, shortTime(r.At))
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "Warning: %s\n", warning)
	}
	fmt.Fprintf(w, "\nWhat came after that is not in it: leads, keys that were made or revoked, opt-outs, erasures, registry files. Do these once\n"+
		"more before you serve. The store that was backed up must not be served any more: both would go on with one ledger.\n\nNext:\n")
	for _, command := range r.Next {
		fmt.Fprintf(w, "    %s\n", command)
	}
}

func shortTime(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// inBytes is a size with its unit: 12.3 MB.
func inBytes(n int64) string {
	size, unit := unitOf(n)
	return fmt.Sprintf("%.1f %sB", float64(n)/size, unit)
}

// quoted is a word of a shell command.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// backupBar draws the progress of a backup, or of its restoration.
type backupBar struct{ line progressLine }

func (b *backupBar) show(stage backup.Stage, done, total int64) {
	b.line.show(string(stage), done, total, func(elapsed time.Duration) string {
		return string(stage) + " " + ofBytes(done, total) + timeLeft(done, total, elapsed)
	})
}
