package store

import (
	"context"
	"time"
)

// Running lists the servers that are alive. starting is true when there is one that
// has not registered yet, as far as that can be seen.
func (s *Store) Running(ctx context.Context) (list []Server, starting bool, err error) {
	if !s.engine.shared() {
		running, err := Serving(s.cfg.Dir)
		if err != nil || !running {
			return nil, false, err
		}
		list, err = s.Servers(ctx)
		return list, len(list) == 0, err
	}
	all, err := s.Servers(ctx)
	for _, sv := range all {
		if time.Since(sv.SeenAt) < 10*time.Second {
			list = append(list, sv)
		}
	}
	return list, false, err
}
