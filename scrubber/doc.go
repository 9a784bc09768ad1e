// Package scrubber asks an outside checker (the service of a DLT aggregator) over
// HTTP: a batch of numbers goes in, a verdict for each comes out. How the request
// and the answer look stands in a configuration file, so that a checker is
// connected without code.
//
// One rule shapes it: what is not expected is unknown, and unknown is never clean.
// A number is clean only when the answer is one whole JSON value with status 200,
// names exactly this number, and gives it a value that the configuration lists as
// clean. Another status, a redirect, a broken or oversize body, a number that is
// missing, an answer about a number that was not asked, two answers that differ, a
// value that is in no list, a timeout, a failing certificate: all unknown.
//
// Requests go straight to the host of the configuration. The proxies that the
// environment names are ignored: which machines see the numbers is decided in the
// configuration alone. Every address is judged after name resolution, when the
// connection is made; what is private is reached only where the configuration says
// so, and the addresses of machine metadata never.
//
// The package must not know the registry file, the store or the environment, must
// not log, and must not let a number or a secret out: its errors say how many
// numbers are unknown and why, in sentences of its own, never in words of the
// answer. How the findings join those of the registry file is decided by
// [saaf.SourceMode.Combine].
//
// Start reading at [Source.Check], and in answer.go for what counts as an answer.
package scrubber
