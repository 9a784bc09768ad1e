package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"saaf/client"
)

// connect makes the client of a command that works through the API.
func (f apiFlags) connect() (*client.Client, error) {
	key := f.Key
	if f.KeyFile != "" && (key == "" || fileWasNamed(f.Key, "SAAF_KEY", f.KeyFile, "SAAF_KEY_FILE")) {
		b, err := os.ReadFile(f.KeyFile)
		if err != nil {
			return nil, err
		}
		key = strings.TrimSpace(string(b))
	}
	if key == "" {
		return nil, &usageError{"an API key is needed: pass --key, or set SAAF_KEY or SAAF_KEY_FILE"}
	}
	base := strings.TrimSuffix(strings.TrimRight(f.URL, "/"), "/api/v1")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &usageError{"--url " + f.URL + " is not an address of a server: write it like http://127.0.0.1:8080"}
	}
	return client.New(base, key), nil
}

// reached adds what to do to the error of a server that does not answer.
func (f apiFlags) reached(err error) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("no server answers at %s: start one with saaf serve, or name it with --url (%w)", f.URL, err)
	}
	return err
}
