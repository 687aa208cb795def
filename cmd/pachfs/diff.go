package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
)

func newDiff(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff [PATH | repo@branch]",
		Short: "List what is staged: + new, M changed, - gone",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := findTarget(first(args))
			if err != nil {
				return err
			}
			branches := []string{t.branch}
			if t.branch == "" {
				info, err := t.client.Status(c.Context())
				if err != nil {
					return err
				}
				branches = nil
				for _, st := range info.Branches {
					branches = append(branches, st.Branch)
				}
			}
			all := map[string][]control.DiffLine{}
			for _, b := range branches {
				lines, err := t.client.Diff(c.Context(), b)
				if err != nil {
					return err
				}
				all[b] = slices.DeleteFunc(lines, func(l control.DiffLine) bool { return !inside(string(l.Path), "/"+t.path) })
			}
			if asJSON {
				return printJSON(s.out, all)
			}
			for _, b := range branches {
				for _, l := range all[b] {
					path := pachclient.Path(strings.TrimPrefix(string(l.Path), "/"))
					if t.branch == "" {
						path = pachclient.Path(b) + l.Path
					}
					fmt.Fprintf(s.out, "%s %s\n", l.Op, path.Line())
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print {branch: [{op, path}]}")
	return c
}
