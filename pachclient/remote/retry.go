package remote

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/internal/wire"
)

// errStarted marks an error that came after the caller has seen part of an
// answer: there is no trying again.
type errStarted struct{ error }

func (e errStarted) Unwrap() error { return e.error }

// retry makes a call until it is answered, for as long as within (0, or a
// patient context: until ctx ends) after the server turned out to be away: a call
// that went on for long before it broke is made again too. fn gets a context
// with the token on it.
func (c *Client) retry(ctx context.Context, op string, within time.Duration, fn func(ctx context.Context) error) error {
	if pachclient.IsPatient(ctx) {
		within = 0
	}
	var away time.Time
	wait := 20 * time.Millisecond
	for {
		err := fn(c.auth(ctx))
		var started errStarted
		if errors.As(err, &started) {
			return started.error
		}
		err = wire.Error(op, err)
		if err == nil || !errors.Is(err, pachclient.ErrUnavailable) {
			return err
		}
		if away.IsZero() {
			away = time.Now()
		}
		if within > 0 && time.Since(away)+wait > within {
			return err
		}
		c.log.Debug("trying again", "op", op, "err", err)
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
		wait = min(2*wait, time.Second)
	}
}

// call is retry within the usual time.
func (c *Client) call(ctx context.Context, op string, fn func(ctx context.Context) error) error {
	return c.retry(ctx, op, c.retryFor, fn)
}

// each makes a streaming call and hands its messages to use. The call is
// tried again only while use has not been called. io.EOF from use ends it.
func each[M any](ctx context.Context, c *Client, op string, open func(context.Context) (receiver[M], error), use func(M) error) error {
	return c.call(ctx, op, func(ctx context.Context) error {
		started := false
		var refused error
		err := receive(ctx, open, func(m M) error {
			started, refused = true, use(m)
			return refused
		})
		switch {
		case refused != nil:
			return errStarted{refused}
		case err != nil && started:
			return errStarted{wire.Error(op, err)}
		}
		return err
	})
}

// all makes a streaming call that nobody sees a part of: it gives what fn makes
// of each message, and may be tried again wherever it broke.
func all[M, T any](ctx context.Context, c *Client, op string, open func(context.Context) (receiver[M], error), fn func(M) T) (out []T, err error) {
	err = c.call(ctx, op, func(ctx context.Context) error {
		out = nil
		return receive(ctx, open, func(m M) error { out = append(out, fn(m)); return nil })
	})
	return out, err
}

// receive makes a streaming call once. An error from use ends it, and is given as it is.
func receive[M any](ctx context.Context, open func(context.Context) (receiver[M], error), use func(M) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a stream that is left early is ended
	stream, err := open(ctx)
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := use(m); err != nil {
			return err
		}
	}
}

type receiver[M any] interface{ Recv() (M, error) }

// without is a stream without some of its messages.
type without[M any] struct {
	receiver[M]
	skip func(M) bool
}

func (w without[M]) Recv() (M, error) {
	for {
		if m, err := w.receiver.Recv(); err != nil || !w.skip(m) {
			return m, err
		}
	}
}
