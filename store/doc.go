// Package store keeps tenants, keys, campaigns, leads and the register of
// registry snapshots. It is the only package that knows SQL.
//
// There are two engines: SQLite in one file, in WAL mode with synchronous=FULL, and
// PostgreSQL, which several processes share; [Move] brings a store from the one to the
// other. A write is answered after its commit has reached the disk, and never before.
// Writes go through writers that commit what waits in groups (writer.go), one of them
// on SQLite; reads use connections of their own and never wait for a writer.
//
// It must not decide anything about phones or the registry: it stores the
// verdicts it is handed. Every method over a tenant's data takes the tenant,
// right after the context; every statement over leads names one campaign.
//
// Start reading at [Open], [Store.AddLeads] and writer.go.
package store
