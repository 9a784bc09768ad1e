package main

import (
	"time"

	"saaf"
)

const description = `saaf takes leads for outbound campaigns over an HTTP API and checks every number against the do-not-call
registry the moment it arrives. A number on the registry is kept, marked and never dialled.

    saaf demo                                 see it at work
    saaf serve                                run it
    saaf registry import full.zip --full --effective-date ${today}`

// cli is the whole command line. Flags, environment variables, defaults and help
// have this one source.
type cli struct {
	JSON bool `name:"json" help:"Print one JSON value on standard output and nothing else there."`

	Serve       serveCmd       `cmd:"" help:"Run the server."`
	Demo        demoCmd        `cmd:"" help:"Show saaf at work: a throwaway server, a synthetic registry, a few leads."`
	Tenant      tenantCmd      `cmd:"" help:"Create and list tenants."`
	Key         keyCmd         `cmd:"" help:"Create, list and revoke API keys."`
	Registry    registryCmd    `cmd:"" help:"Import the do-not-call registry and look into it."`
	Suppression suppressionCmd `cmd:"" help:"Opt-out lists: numbers that are blocked whatever the registry says."`
	Audit       auditCmd       `cmd:"" help:"Verify the ledger of decisions, and take evidence about one number out of it."`
	Erase       eraseCmd       `cmd:"" help:"Delete a person's leads and phone number; the evidence and the opt-outs stay."`
	Backup      backupCmd      `cmd:"" help:"Make a whole copy of an embedded store, beside its server."`
	Restore     restoreCmd     `cmd:"" help:"Put a store back from a backup, into an empty data directory."`
	Migrate     migrateCmd     `cmd:"" help:"Move an embedded store into a PostgreSQL database; spread one over a Citus cluster."`
	Campaign    campaignCmd    `cmd:"" help:"Create and list campaigns, through the API."`
	Lead        leadCmd        `cmd:"" help:"Push leads, through the API."`
	Bench       benchCmd       `cmd:"" help:"Measure saaf against its limits on this machine."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// apiFlags name the server of a command that works through the API.
type apiFlags struct {
	URL     string `name:"url" default:"http://127.0.0.1:8080" env:"SAAF_URL" help:"Server to talk to (${default})."`
	Key     string `env:"SAAF_KEY" placeholder:"KEY" help:"API key, yt_live_... or yt_test_..."`
	KeyFile string `env:"SAAF_KEY_FILE" type:"path" placeholder:"FILE" help:"File that holds the API key."`
}

// today is the date in India.
func today() string { return saaf.DateOf(time.Now()).String() }
