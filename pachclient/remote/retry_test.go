package remote

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient"
)

// The time for which a call is tried again begins when the server turns out to
// be away, not when the call began: a message of 19 MiB may take longer.
func TestRetryAfterLongCall(t *testing.T) {
	c := &Client{log: slog.New(slog.DiscardHandler)}
	calls := 0
	err := c.retry(t.Context(), "read", 100*time.Millisecond, func(context.Context) error {
		if calls++; calls == 1 {
			time.Sleep(200 * time.Millisecond)
			return status.Error(codes.Unavailable, "cut")
		}
		return nil
	})
	if err != nil || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
	calls = 0
	err = c.retry(t.Context(), "read", 100*time.Millisecond, func(context.Context) error {
		calls++
		return status.Error(codes.Unavailable, "away")
	})
	if !errors.Is(err, pachclient.ErrUnavailable) || calls < 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// In a patient context a call is tried again until that ends.
func TestRetryPatiently(t *testing.T) {
	c := &Client{log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(pachclient.Patient(t.Context()), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := c.retry(ctx, "read", time.Millisecond, func(context.Context) error { return status.Error(codes.Unavailable, "away") })
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, pachclient.ErrUnavailable) || time.Since(start) < 300*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
