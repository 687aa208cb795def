package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newLog(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "log [PATH | repo@branch]",
		Short: "List the commits that were made here, newest first, with their messages",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := findTarget(first(args))
			if err != nil {
				return err
			}
			if t.branch == "" {
				return usage("log of which branch? (try: pachfs log labels@master)")
			}
			entries, err := t.client.Log(c.Context(), t.branch)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, entries)
			}
			for _, e := range entries {
				fmt.Fprintf(s.out, "%s  %s  %d changed, %d deleted  %s\n", e.Commit, e.Time.Local().Format("2006-01-02 15:04:05"), e.Files, e.Deleted, e.Message)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the entries as JSON")
	return c
}
