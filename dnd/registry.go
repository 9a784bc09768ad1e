package dnd

import (
	"fmt"
	"sync/atomic"
	"time"

	"saaf"
)

const day = 24 * time.Hour

// Ages of a snapshot, counted from 00:00 IST of its effective date. Files come
// twice a week, so one is missing at four days; at seven days a request that
// somebody made since must bind.
const (
	warnAge = 4 * day

	// MaxAge is the age from which a snapshot answers nothing. A deployment may
	// choose a lower one.
	MaxAge = 7 * day
)

// Config is the configuration of a [Registry].
type Config struct {
	// MaxAge is the age from which a snapshot answers nothing: above 0, at most
	// [MaxAge], which 0 stands for.
	MaxAge time.Duration
}

// Validate reports whether the limits are lawful.
func (c Config) Validate() error {
	if c.MaxAge < 0 || c.MaxAge > MaxAge {
		return fmt.Errorf("%v is above the age limit of the registry: it may be lowered and not raised, use at most 7 days, 168h", c.MaxAge)
	}
	return nil
}

// Registry is what a server answers from: the snapshot in use, exchanged at one
// stroke. It is safe for concurrent use.
type Registry struct {
	maxAge time.Duration
	view   atomic.Pointer[View]
}

// NewRegistry returns a registry that has no snapshot.
func NewRegistry(c Config) (*Registry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &Registry{maxAge: c.MaxAge}
	if r.maxAge == 0 {
		r.maxAge = MaxAge
	}
	r.view.Store(newView(nil, saaf.SnapshotRef{}, r.maxAge))
	return r, nil
}

// Use answers from s from now on, under the name and the effective date of ref;
// nil stands for no snapshot. Views that were taken before keep answering from
// theirs.
func (r *Registry) Use(s *Snapshot, ref saaf.SnapshotRef) {
	before := r.view.Swap(newView(s, ref, r.maxAge))
	close(before.replaced)
}

// View returns what the registry holds at this moment, never nil. Take one for
// each request or transaction: all its answers are then from one snapshot. While
// the pointer is the same the registry has not moved.
func (r *Registry) View() *View { return r.view.Load() }

// Changed is closed at the next [Registry.Use]. Take it before the view whose end
// it announces, or use [View.Replaced].
func (r *Registry) Changed() <-chan struct{} { return r.View().replaced }
