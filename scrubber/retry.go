package scrubber

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 200 * time.Millisecond
	maxPause   = 5 * time.Second
)

// retry calls try until it succeeds, fails for good, or has been called retries
// times more. It waits in between, never beyond the deadline of ctx: a wait that
// does not fit is not begun. again is told of each further attempt.
func retry(ctx context.Context, retries int, again func(), try func(context.Context) ([]byte, error)) ([]byte, error) {
	for n := 0; ; n++ {
		answer, err := try(ctx)
		f, ok := errors.AsType[*failure](err)
		if !ok || !f.again || n == retries || !sleep(ctx, f.wait+pause(n)) {
			return answer, err
		}
		again()
	}
}

// pause is a time from the upper half of a span that doubles with each attempt, so
// that many who failed together do not come back together.
func pause(n int) time.Duration {
	span := min(firstPause<<n, maxPause)
	return span/2 + rand.N(span/2+1)
}

// sleep waits for d and reports whether ctx is still alive then. It returns at
// once when ctx would not be.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
