package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/sirupsen/logrus"
)

var levels = map[string]logrus.Level{
	"debug": logrus.DebugLevel, "info": logrus.InfoLevel, "warn": logrus.WarnLevel, "error": logrus.ErrorLevel}

// newLogger makes the log: logrus in front, slog for everything below cmd.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	l := logrus.New()
	l.SetOutput(w)
	lv, ok := levels[level]
	if !ok {
		return nil, usage("--log-level: %q is none of debug, info, warn, error", level)
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
	fields := logrus.Fields{}
	r.Attrs(func(a slog.Attr) bool {
		b.put(fields, b.prefix, a)
		return true
	})
	b.entry.WithTime(r.Time).WithFields(fields).Log(logrusLevel(r.Level), r.Message)
	return nil
}

// put adds an attribute; those of a group get its name in front.
func (b *bridge) put(fields logrus.Fields, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			b.put(fields, prefix, inner)
		}
	default:
		fields[prefix+a.Key] = v.Any()
	}
}

func (b *bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := logrus.Fields{}
	for _, a := range attrs {
		b.put(fields, b.prefix, a)
	}
	return &bridge{b.entry.WithFields(fields), b.prefix}
}

func (b *bridge) WithGroup(name string) slog.Handler {
	if name == "" {
		return b
	}
	return &bridge{b.entry, b.prefix + name + "."}
}
