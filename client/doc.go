// Package client is the Go client of the API.
//
//	c := client.New("http://127.0.0.1:8080", "yt_live_...")
//	lead, err := c.PushLead(ctx, campaignID, client.NewLead{Phone: "9876543210"})
//
// An answer that is not a success is an [*Error] with the status, the stable
// code and the request id.
package client
