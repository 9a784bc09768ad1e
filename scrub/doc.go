// Package scrub keeps verdicts true: it brings new registry snapshots in, makes
// this process answer from the active one, and re-checks the leads that are
// there when the registry has moved. Where several servers share a store it brings
// the files of snapshots to all of them, see spread.go and prepare.go.
//
// It must not take leads in or dial. Start reading at [Service.Run] and
// [Service.Import].
package scrub
