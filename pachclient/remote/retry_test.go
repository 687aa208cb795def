package remote

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
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

// pieces is a stream that breaks after its messages.
type pieces struct {
	left []int
	end  error
}

func (p *pieces) Recv() (int, error) {
	if len(p.left) == 0 {
		return 0, p.end
	}
	m := p.left[0]
	p.left = p.left[1:]
	return m, nil
}

// An answer that nobody has seen a part of is asked for again, wherever it
// broke; one that was being used is not.
func TestRetryBrokenAnswer(t *testing.T) {
	c := &Client{log: slog.New(slog.DiscardHandler), retryFor: time.Minute}
	calls := 0
	open := func(context.Context) (receiver[int], error) {
		if calls++; calls == 1 {
			return &pieces{[]int{1, 2}, status.Error(codes.Unavailable, "cut")}, nil
		}
		return &pieces{[]int{1, 2, 3}, io.EOF}, nil
	}
	got, err := all(t.Context(), c, "list", open, func(m int) int { return 10 * m })
	if err != nil || !slices.Equal(got, []int{10, 20, 30}) || calls != 2 {
		t.Errorf("%v, %v after %d calls", got, err, calls)
	}
	calls, got = 0, nil
	err = each(t.Context(), c, "walk", func(ctx context.Context) (receiver[int], error) {
		s, err := open(ctx)
		return without[int]{s, func(m int) bool { return calls == 1 }}, err // as if all that came the first time was the directory itself
	}, func(m int) error { got = append(got, m); return nil })
	if err != nil || !slices.Equal(got, []int{1, 2, 3}) || calls != 2 {
		t.Errorf("%v, %v after %d calls", got, err, calls)
	}
	calls, got = 0, nil
	err = each(t.Context(), c, "list", open, func(m int) error { got = append(got, m); return nil })
	if !errors.Is(err, pachclient.ErrUnavailable) || !slices.Equal(got, []int{1, 2}) || calls != 1 {
		t.Errorf("%v, %v after %d calls", got, err, calls)
	}
}
