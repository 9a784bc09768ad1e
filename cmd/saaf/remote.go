package main

import (
	"os"
	"strings"

	"saaf/client"
)

// connect makes the client of a command that works through the API.
func (f apiFlags) connect() (*client.Client, error) {
	key := f.Key
	if key == "" && f.KeyFile != "" {
		b, err := os.ReadFile(f.KeyFile)
		if err != nil {
			return nil, err
		}
		key = strings.TrimSpace(string(b))
	}
	if key == "" {
		return nil, &usageError{"an API key is needed: pass --key, or set SAAF_KEY or SAAF_KEY_FILE"}
	}
	return client.New(f.URL, key), nil
}
