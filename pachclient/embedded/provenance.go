package embedded

import (
	"slices"
	"strings"
)

func provenance(name branchName, all []*branchRec) []branchName {
	for _, b := range all {
		if b.Branch == name {
			return b.Provenance
		}
	}
	return nil
}

func subvenance(name branchName, all []*branchRec) (names []branchName) {
	for _, b := range all {
		if slices.Contains(b.Provenance, name) {
			names = append(names, b.Branch)
		}
	}
	return names
}

// reach gives all branches that next leads to, once each, without the start.
func reach(start branchName, next func(branchName) []branchName) []branchName {
	seen := []branchName{start}
	for i := 0; i < len(seen); i++ {
		for _, n := range next(seen[i]) {
			if !slices.Contains(seen, n) {
				seen = append(seen, n)
			}
		}
	}
	slices.SortFunc(seen[1:], func(a, b branchName) int { return strings.Compare(a.key(), b.key()) })
	return seen[1:]
}

// linked gives the branches among which provenance must be looked for: all, or
// none when no branch of this store ever had any.
func (t *tx) linked() ([]*branchRec, error) {
	if t.b.Bucket(bucketMeta).Get([]byte("linked")) == nil {
		return nil, nil
	}
	return t.branches(repoName{})
}
