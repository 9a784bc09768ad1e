package store

import (
	"context"
	"errors"
	"fmt"

	"saaf"
)

// wrap names the operation of an internal error. Errors meant for callers, and
// the caller's own cancellation, pass unchanged.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*saaf.Error](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%s: %w", op, err)
}
