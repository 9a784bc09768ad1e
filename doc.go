// Package saaf is the vocabulary of the product: tenants, campaigns, leads,
// phone numbers, verdicts, ids and errors, with the rules that need nothing but
// the values themselves (normalising a phone, moving a campaign from one state
// to the next, deciding what a re-check does to a lead).
//
// It must not know a database, a file, a socket or a clock: it imports only the
// standard library and every other package imports it. Start reading at
// [PhonePolicy.Parse], [Verdict] and [Lead].
package saaf
