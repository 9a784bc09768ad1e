package main

// What --help says beyond the list of flags, with an example to start from.

func (serveCmd) Help() string {
	return `The first start on an empty data directory makes the tenant "default" and prints one live and one test key, once.
Requests are answered until Ctrl-C or SIGTERM; those under way are finished first.

There is no flag, variable or key that switches the registry check off. A variable that begins with SAAF_ and is no
setting stops the start.

    saaf serve
    saaf serve --listen 0.0.0.0:8080 --data-dir /var/lib/saaf --log-format json`
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
	return `Answers as a running server would, and shows the categories of a partial block for the record: they block all the same.

    saaf registry check 9876543210 '+91 91234 56789'`
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
