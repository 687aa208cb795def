package asversion

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed since.txt
var sinceText string

// A version is a release of pachd.
type version struct{ major, minor, micro uint32 }

func (v version) before(major, minor uint32) bool {
	return v.less(version{major, minor, 0})
}

func (v version) less(w version) bool {
	return slices.Compare([]uint32{v.major, v.minor, v.micro}, []uint32{w.major, w.minor, w.micro}) < 0
}

func parseVersion(s string) (v version, err error) {
	_, err = fmt.Sscanf(s, "%d.%d.%d", &v.major, &v.minor, &v.micro)
	return v, err
}

// A span is the releases from one to another, or to the last.
type span struct {
	from, to version
	ends     bool
}

// sinces reads since.txt: the name of a call or a field, and the spans of
// releases that know it.
var sinces = sync.OnceValue(func() map[string][]span {
	out := map[string][]span{}
	for line := range strings.Lines(sinceText) {
		words := strings.Fields(line)
		for _, w := range words[1:] {
			from, to, _ := strings.Cut(w, "-")
			s := span{ends: to != ""}
			var err error
			if s.from, err = parseVersion(from); err == nil && s.ends {
				s.to, err = parseVersion(to)
			}
			if err != nil {
				panic("since.txt: " + line)
			}
			out[words[0]] = append(out[words[0]], s)
		}
	}
	return out
})

// knows says whether a release knows a call ("pfs_v2.API/GetFile") or a field
// ("pfs_v2.Commit.repo"). What is not in the table is not Pachyderm's own, and
// is known to all.
func (v version) knows(name string) bool {
	spans, ok := sinces()[name]
	return !ok || slices.ContainsFunc(spans, func(s span) bool {
		return !v.less(s.from) && (!s.ends || !s.to.less(v))
	})
}
