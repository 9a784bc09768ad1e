// Package auth answers who is calling: it makes and checks API keys, knows what
// a key may do, and counts its requests.
//
// A key is shown once, when it is made; only its SHA-256 is kept. Start reading
// at [Service.Authenticate] and [Service.Take].
package auth
