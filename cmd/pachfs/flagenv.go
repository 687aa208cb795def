package main

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"pachfs/pachclient"
)

// oneOf marks flags of which one is enough: when the command line has one of
// them, the environment does not add another.
const oneOf = "pachfs-one-of"

// flagsFromEnv gives every flag that was not set on the command line the value
// of PACHFS_FLAG_NAME.
func flagsFromEnv(flags *pflag.FlagSet, getenv func(string) string) error {
	chosen := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) {
		for _, group := range f.Annotations[oneOf] {
			chosen[group] = true
		}
	})
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "PACHFS_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v := getenv(name)
		if f.Changed || v == "" || f.Name == "help" {
			return
		}
		for _, group := range f.Annotations[oneOf] {
			if chosen[group] {
				return
			}
		}
		if err := flags.Set(f.Name, v); err != nil {
			errs = append(errs, usage("%s=%q: %w", name, v, err))
		}
	})
	return errors.Join(errs...)
}

// A wait is a duration that can't be negative.
type wait time.Duration

// waitVar makes a flag of one.
func waitVar(flags *pflag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	flags.Var((*wait)(p), name, usage)
}

func (w *wait) Set(v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time to wait (try 500ms, 30s or 2m)", v)
	}
	*w = wait(d)
	return nil
}

func (w *wait) String() string { return time.Duration(*w).String() }

func (w *wait) Type() string { return "duration" }

// A size is a number of bytes: 512MiB, 10G.
type size int64

var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}}

func (s *size) Set(v string) error {
	factor := int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(v, u.name); ok {
			v, factor = n, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return fmt.Errorf("%q is no size (try 512MiB or 10GiB)", v)
	}
	*s = size(n * factor)
	return nil
}

func (s *size) String() string {
	n := int64(*s)
	for i := 3; i >= 0; i-- {
		if u := units[i]; n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func (s *size) Type() string { return "size" }

func parseUmask(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return 0, usage("--umask: %q is not an octal number up to 777", s)
	}
	return uint32(n), nil
}

// parsePatterns reads a list like images@master,labels@*; an empty one fits everything.
func parsePatterns(flag, list string) (func(pachclient.Branch) bool, error) {
	if list == "" {
		return func(pachclient.Branch) bool { return true }, nil
	}
	patterns := strings.Split(list, ",")
	for i, p := range patterns {
		p = strings.TrimSpace(p)
		patterns[i] = p
		if !strings.Contains(p, "@") {
			patterns[i] = p + "@*"
		}
		if _, err := path.Match(p, ""); err != nil || p == "" || strings.Count(p, "@") > 1 {
			return nil, usage("%s: %q is no pattern like repo or repo@branch, where * stands for anything", flag, p)
		}
	}
	return func(b pachclient.Branch) bool {
		for _, p := range patterns {
			if ok, _ := path.Match(p, b.String()); ok {
				return true
			}
		}
		return false
	}, nil
}
