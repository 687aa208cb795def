package main

import (
	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
)

func newDiscard(s streams) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "discard PATH | repo@branch:/PATH ...",
		Short: "Forget what is staged at the paths and below them",
		Long: `Forgets staged changes: the paths show what is committed again. A rename goes as
a whole, whichever of its ends is named. A whole branch goes with --all.`,
		Example: "  pachfs discard labels@master:/1.json\n  pachfs discard --all labels@master",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			for _, arg := range args {
				t, err := findTarget(arg)
				if err != nil {
					return err
				}
				req := control.DiscardRequest{Branch: t.branch, Paths: []string{"/" + t.path}}
				switch {
				case t.branch == "":
					return usage("%s is no branch, nor in one", arg)
				case t.path == "" && !all:
					return usage("%s is a whole branch: that takes --all", arg)
				case t.path == "":
					req.Paths = nil
				}
				if err := t.client.Discard(c.Context(), req); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "let a whole branch be discarded")
	return c
}
