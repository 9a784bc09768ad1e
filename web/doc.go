// Package web is the plumbing between HTTP and the rest: request ids, the access
// event, body limits, reading JSON as it came, and writing answers and errors in
// the shape of the public API.
//
// It must not know what a lead is or who may do what. Start reading at [Adapter]
// and [Parse].
package web
