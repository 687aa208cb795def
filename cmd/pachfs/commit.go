package main

import (
	"fmt"
	"sort"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
)

// onConflictHelp explains the policies, for mount and commit.
const onConflictHelp = "where somebody else changed a staged path: fail; ours (lay ours over theirs); or theirs (give ours up and land the rest)"

// commitTimeoutHelp is for mount and state land.
const commitTimeoutHelp = "a commit fails after that long without progress; 0: 1m"

func newCommit(s streams) *cobra.Command {
	var message, onConflict string
	var asJSON bool
	c := &cobra.Command{
		Use:   "commit [-m MESSAGE] [PATH | repo@branch]",
		Short: "Land what is staged as one commit a branch, and return when it is finished",
		Long: `Lands the branch that PATH lies in or that is named; the root of a mount stands
for all its branches. Prints the commit of each branch that got one. Status 3:
it could not land and stays staged; 4: somebody else changed the same paths
(pachfs status names them): --on-conflict decides, or pachfs discard gives up
single paths.`,
		Example: "  pachfs commit -m 'ten labels' labels@master\n  cd /mnt/pach/labels@master && pachfs commit",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := findTarget(first(args))
			if err != nil {
				return err
			}
			made, err := t.client.Commit(c.Context(), control.CommitRequest{Branch: t.branch, Message: message, OnConflict: onConflict})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, made)
			}
			var lines []string
			for branch, id := range made {
				if id != "" {
					lines = append(lines, branch+" "+id)
				}
			}
			sort.Strings(lines)
			for _, l := range lines {
				fmt.Fprintln(s.out, l)
			}
			if len(lines) == 0 {
				fmt.Fprintln(s.err, "nothing to commit")
			}
			return nil
		},
	}
	c.Flags().StringVarP(&message, "message", "m", "", "the commit's message")
	c.Flags().StringVar(&onConflict, "on-conflict", "", onConflictHelp+" (default: what the mount was told)")
	c.Flags().BoolVar(&asJSON, "json", false, "print {branch: commit id}")
	return c
}
