package scrubber

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"saaf"
)

// Source is one outside checker. It is safe for concurrent use.
type Source struct {
	name     string
	mode     saaf.SourceMode
	maxAge   time.Duration
	batch    int
	timeout  time.Duration
	retries  int
	template template
	mapping  *mapping
	exchange func(ctx context.Context, body []byte) ([]byte, error) // one attempt
	slots    chan struct{}                                          // one for each request at the same time
	breaker  breaker
	record   record
}

// New returns the source that c describes, or the mistakes of c. It connects to
// nothing.
func New(c *Config) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("scrubber: configuration: %w", err)
	}
	t, err := newTemplate(c.Request)
	if err != nil {
		return nil, fmt.Errorf("scrubber: request: %w", err)
	}
	client, err := newClient(c)
	if err != nil {
		return nil, fmt.Errorf("scrubber: client: %w", err)
	}
	return &Source{
		name: c.Name, mode: c.Mode, maxAge: c.MaxAge, batch: c.Batch, timeout: c.Timeout, retries: c.Retries,
		template: t,
		mapping:  newMapping(c.Response),
		exchange: client.exchange,
		slots:    make(chan struct{}, c.Parallel),
		breaker:  breaker{Breaker: c.Breaker},
	}, nil
}

// Name is the word that evidence shows as the source.
func (s *Source) Name() string { return s.name }

// Mode says how the findings join those of the registry file.
func (s *Source) Mode() saaf.SourceMode { return s.mode }

// MaxAge is how long a clean finding counts. The source keeps no finding itself:
// whoever does asks again after that.
func (s *Source) MaxAge() time.Duration { return s.maxAge }

// State is how the source is doing.
func (s *Source) State() State {
	st := s.record.get()
	st.Circuit, st.OpenUntil = s.breaker.state()
	return st
}

// Check asks about phones, as many batches at the same time as the configuration
// allows for all callers together. The findings have the order of phones and are
// NotRegistered, FullBlock, PartialBlock, or RegistryUnavailable for everything
// that is not known. The error explains the unknown ones for a log, without
// numbers and secrets; it is nil when there are none. The findings count whether
// there is an error or not.
//
// One batch takes at most the timeout, and as long again to wait for its turn.
// When ctx ends, what is not answered is unknown, and nobody's failure.
func (s *Source) Check(ctx context.Context, phones []saaf.Phone) ([]saaf.VerdictReason, error) {
	return s.check(ctx, phones, 0)
}

// check is Check for a caller whose deadline leaves least to each batch, if that is
// not 0: a batch that would have less is not asked, and one that had it and was cut
// by the deadline has failed.
func (s *Source) check(ctx context.Context, phones []saaf.Phone, least time.Duration) ([]saaf.VerdictReason, error) {
	distinct, places, wrong := distinctPhones(phones)
	found := make([]saaf.VerdictReason, len(distinct))
	batches := slices.Collect(slices.Chunk(distinct, s.batch))
	errs := make([]error, len(batches))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(cap(s.slots), len(batches)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(batches); i = int(next.Add(1)) - 1 {
				from := i * s.batch
				errs[i] = s.checkBatch(ctx, batches[i], found[from:from+len(batches[i])], least)
			}
		})
	}
	wg.Wait()
	all := make([]saaf.VerdictReason, len(phones))
	for i, place := range places {
		if place >= 0 {
			all[i] = found[place]
		}
	}
	if wrong > 0 {
		errs = append(errs, fmt.Errorf("%d phones are no numbers and were not asked", wrong))
	}
	return all, s.join(errs)
}

// distinctPhones lists each number once. places has for each of phones its place in
// that list, -1 for what is no number.
func distinctPhones(phones []saaf.Phone) (distinct []saaf.Phone, places []int, wrong int) {
	seen := make(map[saaf.Phone]int, len(phones))
	places = make([]int, len(phones))
	for i, p := range phones {
		place, ok := seen[p]
		switch {
		case p < 1_000_000_000 || p > 9_999_999_999:
			place = -1
			wrong++
		case !ok:
			place = len(distinct)
			seen[p] = place
			distinct = append(distinct, p)
		}
		places[i] = place
	}
	return distinct, places, wrong
}

// maxErrors is how many different errors of batches a Check tells.
const maxErrors = 10

// join puts the errors of batches together, those that say the same only once.
func (s *Source) join(errs []error) error {
	counts := map[string]int{}
	var first []error
	for _, err := range errs {
		if err == nil {
			continue
		}
		if counts[err.Error()]++; counts[err.Error()] == 1 {
			first = append(first, err)
		}
	}
	if more := len(first) - maxErrors; more > 0 {
		first = append(first[:maxErrors], fmt.Errorf("and %d more like these", more))
	}
	for i, err := range first {
		if n := counts[err.Error()]; n > 1 {
			err = fmt.Errorf("%w (%d times)", err, n)
		}
		first[i] = fmt.Errorf("scrubber %s: %w", s.name, err)
	}
	return errors.Join(first...)
}

var errBusy = errors.New("not asked: the batches before this one took too long")

// checkBatch writes into found, which holds unknown for each of phones.
func (s *Source) checkBatch(ctx context.Context, phones []saaf.Phone, found []saaf.VerdictReason, least time.Duration) error {
	asked, o, err := s.admitted(ctx, phones, found, least)
	if over := ended(ctx); o == nothing && over != nil {
		s.record.batch(asked, o, found, nil)
		return fmt.Errorf("the caller stopped waiting: %w", over)
	}
	s.record.batch(asked, o, found, err)
	return err
}

// ended is ctx.Err, but does not lag behind the deadline: a connection that is cut
// at the deadline may be reported before the context is.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// admitted asks when there is room and the circuit lets it.
func (s *Source) admitted(ctx context.Context, phones []saaf.Phone, found []saaf.VerdictReason, least time.Duration) (asked bool, o outcome, err error) {
	turn := time.NewTimer(s.timeout)
	defer turn.Stop()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-turn.C:
		return false, nothing, errBusy
	case <-ctx.Done():
		return false, nothing, ctx.Err()
	}
	if err := ended(ctx); err != nil {
		return false, nothing, err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < least {
		return false, nothing, errBusy
	}
	a, err := s.breaker.admit()
	if err != nil {
		return false, nothing, err
	}
	began := time.Now()
	findings, err := s.ask(ctx, phones)
	switch {
	case err == nil:
		o = success
		for i, f := range findings {
			found[i] = f.reason
		}
		err = explain(findings)
	case ended(ctx) == nil, least > 0 && errors.Is(ended(ctx), context.DeadlineExceeded) && time.Since(began) >= least:
		o = failed
	}
	s.breaker.report(a, o)
	return true, o, err
}

// ask sends one batch and reads the answer. An error means that nothing is known,
// and, unless ctx has ended, that the checker is to blame.
func (s *Source) ask(ctx context.Context, phones []saaf.Phone) ([]finding, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	body := s.template.render(phones)
	answer, err := retry(ctx, s.retries, s.record.retried, func(ctx context.Context) ([]byte, error) {
		return s.exchange(ctx, body)
	})
	if err != nil {
		return nil, err
	}
	found, err := s.mapping.read(answer, phones)
	if err == nil && answersNone(found) {
		err = errors.New("the answer names none of the numbers")
	}
	return found, err
}
