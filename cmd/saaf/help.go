package main

// What --help says beyond the list of flags, with an example to start from.

func (serveCmd) Help() string {
	return `The first start on an empty data directory makes the tenant "default" and prints one live and one test key, once.
Requests are answered until Ctrl-C or SIGTERM; those under way are finished first.

There is no flag, variable or key that switches the registry check off. A variable that begins with SAAF_ and is no
setting stops the start.

    saaf serve
    saaf serve --listen 0.0.0.0:8080 --data-dir /var/lib/saaf --log-format json
    saaf serve --database-url postgres://saaf@db.internal/saaf --secrets-dir /etc/saaf`
}

func (registryImportCmd) Help() string {
	return `Reads .csv, .csv.gz and .zip files in the layout of the NCPR download: service area, phone number, preferences,
opstype (A or D), phone type, with or without a header. Nothing changes until the whole import is found good; the old
snapshot answers until the new one takes over.

An import is refused when it has no valid row, over 0.1 % malformed rows, or an archive that is cut short; a full set when
it has over 5 % fewer numbers than the last, or none; a delta when it clears over 1 % of the numbers, or is older
than the snapshot, or was applied before the last one.
--override lifts that and is recorded. A date after today is always refused.

    saaf registry import part-*.zip --full --effective-date ` + today() + `
    saaf registry import changes.csv.gz --delta --effective-date ` + today()
}

func (registryCheckCmd) Help() string {
	return `Answers as a running server without an outside checker would: it asks none. It shows the categories of a partial block for the record: they block all the same.
Opt-outs of the whole deployment count, and those of a tenant with --tenant; those for a single campaign do not. Nothing
is recorded.

    saaf registry check 9876543210 '+91 91234 56789'
    saaf registry check 9876543210 --tenant ten_...`
}

func (registryRollbackCmd) Help() string {
	return `The snapshot that the active one replaced answers again, with its own age: it may warn, or be too old to answer at all.
The last three are kept. Files that were taken out this way can be imported again.

    saaf registry diff previous active
    saaf registry rollback --reason 'the file of another operator'`
}

func (registryDiffCmd) Help() string {
	return `Counts the numbers that are listed in one of two snapshots only, and those whose categories differ.

    saaf registry diff previous active
    saaf registry diff snap_... active --numbers --limit 20`
}

func (suppressionAddCmd) Help() string {
	return `What is on an opt-out list is blocked whatever the registry says, from the moment the command returns, also in running
servers. It stays on it until somebody removes it, or until --expires. A number that is on the list already stays as it
is; the later expiry wins.

    saaf suppression add 9876543210 --reason 'asked during a call' --source 'call 4711'
    saaf suppression add 9876543210 --scope all --reason 'court order'
    saaf suppression add 9876543210 --campaign camp_... --reason 'not this offer' --expires 90d`
}

func (suppressionImportCmd) Help() string {
	return `The first line of the file names its columns: phone, and if you like reason, source and expires_at; others are passed
over. Columns are separated by commas, semicolons or tabs, the text is UTF-8, and a row stands on one line. A row that
cannot be read is listed with its line and costs no other. Rows are stored 500 at a time; after an interruption import
the file again.

    saaf suppression import optouts.csv --reason 'list of the call centre' --source '2026-11-20'`
}

func (benchCmd) Help() string {
	return `saaf bench measures everything, as saaf bench all does, and takes its flags: --leads N, --numbers N, --database-url URL,
--dir DIR, --keep and --verbose. saaf bench all --help says what each of them is.

    saaf bench
    saaf bench --leads 10M --numbers 300M --dir /var/tmp`
}

func (benchAllCmd) Help() string {
	return `Starts a real server, pushes leads to it over loopback, and prints a table: each target beside its limit, which is measured
in the same run (bare loops of the store, a log with fdatasync, an empty handler, random loads). One campaign is filled
with --leads leads. Afterwards everything that was stored is checked. docs/performance.md says what each row is, by its name;
--verbose prints it, with notes. With a million leads it takes some four minutes and 10 GB of disk.

It exits with 1 when something was stored wrong, and not when a figure misses its floor. It works in a directory of its own
below --dir, which it removes at the end, and says first how much room it takes. Run it on a machine that does nothing
else. A password for --database-url belongs into ~/.pgpass or PGPASSWORD.

    saaf bench
    saaf bench --leads 10M --numbers 300M --dir /var/tmp
    saaf bench --json > before.json`
}

func (benchVerifyCmd) Help() string {
	return `Exits with 1 when what is stored is not what was acknowledged: a lead that is lost, there twice, or has a verdict that is not
its own, a count that is wrong, a ledger that was changed.

    saaf bench --keep --dir /var/tmp
    saaf bench verify /var/tmp/saaf-bench-.../embedded`
}

func (benchRegistryCmd) Help() string {
	return `Generates a registry of made-up numbers, imports it, opens it, looks numbers up and applies a delta; then pushes leads to a
real server while another full set, with categories for every number, and a delta to it are imported and activated beside
it. Each figure stands beside its limit: a fixed one, or what was measured for comparison in the same run. Every answer
is checked. It exits with 1 when a figure is not within its limit.

It works in a directory of its own below --dir, which it removes at the end, and says first how much room it takes. Run
it on a machine that does nothing else, with --dir on the disk that the data directory is to be on. A registry of the
whole country is

    saaf bench registry --numbers 300M --dir /var/tmp`
}

func (keyCreateCmd) Help() string {
	return `The key goes to standard output and nowhere else; only its hash is kept.

    saaf key create --tenant ten_... --label crm
    saaf key create --tenant ten_... --env test --scope leads:write --scope leads:read --rate-limit 6000`
}

func (leadPushCmd) Help() string {
	return `The answer comes when the lead is on the disk of the server.

    export SAAF_KEY=yt_live_...
    saaf lead push 9876543210 --campaign camp_... --name 'Priya Sharma' --metadata '{"plan": "enterprise"}'`
}

func (demoCmd) Help() string {
	return `Everything happens in a temporary directory, which is removed at the end. The numbers are made up.`
}
