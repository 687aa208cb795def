package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// newLogger makes the log: logrus in front, slog for everything below cmd.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	l := logrus.New()
	l.SetOutput(w)
	lv, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, usage("--log-level: %w", err)
	}
	l.SetLevel(lv)
	switch format {
	case "text":
		l.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	case "json":
		l.SetFormatter(&logrus.JSONFormatter{})
	default:
		return nil, usage("--log-format: %q is neither text nor json", format)
	}
	return slog.New(&bridge{entry: logrus.NewEntry(l)}), nil
}

// A bridge hands what is logged through slog to logrus.
type bridge struct {
	entry  *logrus.Entry
	prefix string
}

func logrusLevel(l slog.Level) logrus.Level {
	switch {
	case l >= slog.LevelError:
		return logrus.ErrorLevel
	case l >= slog.LevelWarn:
		return logrus.WarnLevel
	case l >= slog.LevelInfo:
		return logrus.InfoLevel
	}
	return logrus.DebugLevel
}

func (b *bridge) Enabled(_ context.Context, l slog.Level) bool {
	return b.entry.Logger.IsLevelEnabled(logrusLevel(l))
}

func (b *bridge) Handle(_ context.Context, r slog.Record) error {
	e := b.entry.WithTime(r.Time)
	r.Attrs(func(a slog.Attr) bool {
		e = e.WithField(b.prefix+a.Key, a.Value.Any())
		return true
	})
	e.Log(logrusLevel(r.Level), r.Message)
	return nil
}

func (b *bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	e := b.entry
	for _, a := range attrs {
		e = e.WithField(b.prefix+a.Key, a.Value.Any())
	}
	return &bridge{e, b.prefix}
}

func (b *bridge) WithGroup(name string) slog.Handler { return &bridge{b.entry, b.prefix + name + "."} }
