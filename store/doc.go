// Package store keeps tenants, keys, campaigns, leads and the register of
// registry snapshots. It is the only package that knows SQL.
//
// The engine is SQLite in one file, in WAL mode with synchronous=FULL: a write
// is answered after its commit has reached the disk, and never before. All
// writes of a process go through one writer that commits what waits in groups
// (writer.go); reads use a pool of their own and never wait for the writer.
//
// It must not decide anything about phones or the registry: it stores the
// verdicts it is handed. Every method over a tenant's data takes the tenant,
// right after the context; every statement over leads names one campaign.
//
// Start reading at [Open], [Store.AddLeads] and writer.go.
package store
