// Command pachfs mounts a Pachyderm as directories. main.go has the tree of
// commands and the exit table, each subcommand a file of its own, and env.go
// is the only place that puts the parts together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
)

// streams are where a command reads and writes. stdout has what was asked for,
// stderr the rest.
type streams struct {
	out, err io.Writer
}

const rootHelp = `pachfs mounts a Pachyderm as directories: repo@branch is a directory, files
stream in as they are read, what is written is staged on the local disk and
lands as one commit when .commit is touched, or on unmount.

Every flag is also an environment variable: --commit-timeout is PACHFS_COMMIT_TIMEOUT.

Exit status of every command:
  0  done, or nothing to do
  1  a fault
  2  usage
  3  changes stay staged
  4  conflict: somebody else changed what is staged`

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "pachfs",
		Short:         "Mount a Pachyderm as directories",
		Long:          rootHelp,
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage("%w (see: %s --help)", err, c.CommandPath()) })
	root.AddCommand(newMount(s), newUmount(), newCommit(s), newStatus(s), newDiff(s), newDiscard(s), newLog(s), newState(s), newServe(s), newVersion(s))
	for _, c := range root.Commands() {
		prepare(c)
	}
	return root
}

// prepare makes wrong arguments usage errors, and takes flags from the environment.
func prepare(c *cobra.Command) {
	args := c.Args
	c.Args = func(c *cobra.Command, list []string) error {
		if args == nil {
			return nil
		}
		if err := args(c, list); err != nil {
			return usage("%w (see: %s --help)", err, c.CommandPath())
		}
		return nil
	}
	c.PreRunE = func(c *cobra.Command, _ []string) error { return flagsFromEnv(c.Flags(), os.Getenv) }
	for _, sub := range c.Commands() {
		prepare(sub)
	}
}

// usage is an error in how a command was called.
func usage(format string, args ...any) error {
	return &control.Error{Message: fmt.Errorf(format, args...).Error(), Exit: control.ExitUsage}
}

// run runs a command line and gives its exit status.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return control.ExitDone
	}
	code := control.ExitCode(err, false)
	var e *control.Error
	if !errors.As(err, &e) && isUnknownCommand(err) {
		code = control.ExitUsage
	}
	fmt.Fprintf(s.err, "pachfs: %v\n", err)
	return code
}

// isUnknownCommand says whether cobra found no such subcommand; its error has no type.
func isUnknownCommand(err error) bool {
	return len(err.Error()) > 15 && err.Error()[:15] == "unknown command"
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdout, os.Stderr}))
}
