// Package api is the JSON API: the route table, what each route accepts and what
// it answers. Rules live in the packages it calls.
//
// Start reading at [routes], the whole API on one page.
package api
