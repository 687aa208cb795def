package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
)

func newStateCheck(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Verify what is staged, without a server and without changing anything",
		Long: `Reads the journals as the next mount would, and verifies that what they say is
there. Nothing is changed. A torn end of a journal is what a kill leaves, and no
finding. Status 1: something is damaged, with every finding on stdout.`,
		Example: "  pachfs state check /mnt/pach",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			i, dir, err := inspect(args[0], pachclient.Offline{})
			if err != nil {
				return err
			}
			found, err := i.Branches(c.Context())
			wrong := 0
			for _, f := range found {
				bad := f.Check()
				if bad == nil {
					fmt.Fprintf(s.out, "%s: sound: %s\n", f.Branch, amount(f.Status().Staged))
					continue
				}
				for line := range strings.SplitSeq(bad.Error(), "\n") {
					fmt.Fprintf(s.out, "%s: %s\n", f.Branch, line)
					wrong++
				}
			}
			err = errors.Join(err, i.Close())
			if wrong > 0 {
				err = errors.Join(err, &control.Error{Exit: control.ExitFault, Message: fmt.Sprintf("%s: findings: %d", dir, wrong)})
			}
			return err
		},
	}
}
