package embedded

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// golden knows what the placeholders stand for on the server under test.
type golden struct {
	bound   map[string]string // placeholder → value
	departs map[int]string    // steps that may be answered otherwise
}

var (
	placeholder = regexp.MustCompile(`\$[CF][0-9]+`)
	generated   = regexp.MustCompile(`^\$GEN\((\d+),(\d+),(\d+)\)$`)
	hexID       = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
)

// walk gives v with every string changed by fn.
func walk(v any, fn func(string) string) any {
	switch v := v.(type) {
	case string:
		return fn(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = walk(v[i], fn)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[k] = walk(v[k], fn)
		}
		return out
	}
	return v
}

// fill puts values in for the placeholders of a request.
func (g *golden) fill(request any) any {
	return walk(request, func(s string) string {
		if m := generated.FindStringSubmatch(s); m != nil {
			return base64.StdEncoding.EncodeToString(generate(m[1], m[2], m[3]))
		}
		return placeholder.ReplaceAllStringFunc(s, func(p string) string {
			if v, ok := g.bound[p]; ok {
				return v
			}
			return p
		})
	})
}

// generate makes a part of a generated file, by the rule that the transcript gives.
func generate(seed, off, length string) []byte {
	s, _ := strconv.Atoi(seed)
	from, _ := strconv.Atoi(off)
	n, _ := strconv.Atoi(length)
	out := make([]byte, n)
	for j := range out {
		i := from + j
		out[j] = byte(i*31 + s*17 + i>>8)
	}
	return out
}

// bind takes the values that a step makes up from its answer.
func (g *golden) bind(pointers map[string]string, a *answer) error {
	for name, pointer := range pointers {
		var at any = map[string]any{"responses": a.responses}
		for _, key := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
			switch v := at.(type) {
			case map[string]any:
				at = v[key]
			case []any:
				if i, err := strconv.Atoi(key); err == nil && i < len(v) {
					at = v[i]
				} else {
					at = nil
				}
			}
		}
		value, ok := at.(string)
		if !ok || value == "" {
			return fmt.Errorf("nothing to bind %s to at %s: code %v, %q, responses %v", name, pointer, a.code, a.message, a.responses)
		}
		for other, v := range g.bound {
			if v == value && other != name {
				return fmt.Errorf("%s and %s are both %s", name, other, value)
			}
		}
		g.bound[name] = value
	}
	return nil
}

// mask puts placeholders in for values.
func (g *golden) mask(s string) string {
	for name, v := range g.bound {
		s = strings.ReplaceAll(s, v, name)
	}
	return s
}

func (g *golden) maskResponse(s string) string {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.Unix() != 0 {
		return "$T"
	}
	return g.mask(s)
}

// compare tells what is different, "" for nothing.
func (g *golden) compare(s step, a *answer) string {
	var diff []string
	note := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			diff = append(diff, fmt.Sprintf("  %s: %s\n  want: %s", what, text(got), text(want)))
		}
	}
	switch {
	case s.Compare != "no-status":
		note("code", a.code.String(), s.Code)
	case a.code.String() == "OK":
		note("code", "OK", "anything else")
	}
	if s.Compare == "code-only" {
		return strings.Join(diff, "\n")
	}
	if s.Compare != "no-status" {
		// Ids of the request itself stand in the message as they are.
		note("message", hexID.ReplaceAllString(g.mask(a.message), "$$ID"), hexID.ReplaceAllString(s.Message, "$$ID"))
	}
	switch {
	case strings.HasSuffix(s.Method, "/GetFileTAR"):
		got, err := entries(a.data)
		if err != nil && s.Code == "OK" {
			diff = append(diff, "  tar: "+err.Error())
		}
		if len(got)+len(s.Tar) > 0 {
			note("tar", got, s.Tar)
		}
	case s.Content != nil:
		note("content", digest{sum(a.data), len(a.data)}, *s.Content)
	default:
		g.compareResponses(s, a, note)
	}
	return strings.Join(diff, "\n")
}

func (g *golden) compareResponses(s step, a *answer, note func(string, any, any)) {
	got, want := []any{}, []any{}
	for _, r := range a.responses {
		got = append(got, tidy(walk(r, g.maskResponse)))
	}
	for _, r := range s.Responses {
		want = append(want, tidy(r))
	}
	switch s.Compare {
	case "unordered":
		byText(got)
		byText(want)
	case "contains":
		for _, w := range want {
			if !slices.ContainsFunc(got, func(g any) bool { return reflect.DeepEqual(g, w) }) {
				note("responses", got, w)
			}
		}
		return
	}
	note("responses", got, want)
}

// tidy takes out what does not count, and orders what has no order.
func tidy(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
	case map[string]any:
		for _, k := range []string{"size_bytes_upper_bound", "compacting_time", "validating_time"} {
			delete(v, k)
		}
		for k := range v {
			v[k] = tidy(v[k])
			if list, ok := v[k].([]any); ok && slices.Contains([]string{"branches", "repos", "permissions", "roles"}, k) {
				byText(list)
			}
		}
	}
	return v
}

func byText(list []any) {
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(text(a), text(b)) })
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
