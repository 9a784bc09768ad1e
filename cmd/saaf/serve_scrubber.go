package main

import (
	"log/slog"
	"net/url"

	"saaf/scrubber"
)

// loadSource reads the configuration of the outside checker, nil without one.
func loadSource(file string, log *slog.Logger) (*scrubber.Source, error) {
	if file == "" {
		return nil, nil
	}
	cfg, err := scrubber.Load(file)
	if err != nil {
		return nil, &usageError{"--scrubber-config: " + err.Error()}
	}
	source, err := scrubber.New(cfg)
	if err != nil {
		return nil, &usageError{"--scrubber-config: " + err.Error()}
	}
	address, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	log.Info("numbers are sent to an outside checker", "source", cfg.Name, "mode", string(cfg.Mode), "host", address.Host)
	return source, nil
}
