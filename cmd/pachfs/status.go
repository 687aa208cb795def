package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/staging"
)

func newStatus(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [PATH | repo@branch]",
		Short: "Show what is staged, branch by branch",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := findTarget(first(args))
			if err != nil {
				return err
			}
			info, err := t.client.Status(c.Context())
			if err != nil {
				return err
			}
			if t.branch != "" {
				info.Branches = onlyBranch(info.Branches, t.branch)
			}
			if asJSON {
				return printJSON(s.out, info)
			}
			if t.branch != "" && len(info.Branches) == 0 {
				fmt.Fprintf(s.out, "%s: nobody has used %s there yet, or it does not exist\n", info.Mountpoint, pachclient.Path(t.branch).Line())
				return nil
			}
			return printStatus(s.out, info)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print what GET /v1/status answers")
	return c
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func onlyBranch(list []staging.Status, branch string) []staging.Status {
	out := []staging.Status{}
	for _, st := range list {
		if st.Branch == branch {
			out = append(out, st)
		}
	}
	return out
}

// printStatus is a table that fits 80 columns, with the words of what went
// wrong below.
func printStatus(w io.Writer, info control.Info) error {
	fmt.Fprintf(w, "%s: project %s of %s\n", info.Mountpoint, info.Project, info.Server)
	if info.Problem != "" {
		fmt.Fprintln(w, info.Problem)
	}
	if len(info.Branches) == 0 {
		fmt.Fprintln(w, "no branch has been used yet")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "BRANCH\tSTATE\tCHANGED\tDELETED\tBYTES\tBASE")
	for _, st := range info.Branches {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\t%s\n", elide(st.Branch, 28), st.State, st.Staged.Files, st.Staged.Deleted, human(st.Staged.Bytes), shorten(st.Base, 8))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, st := range info.Branches {
		if len(st.Conflicts) > 0 {
			fmt.Fprintf(w, "\n%s: somebody else changed what is staged here:\n  %s\n", st.Branch, strings.Join(st.Conflicts.Lines(), "\n  "))
			fmt.Fprintf(w, "give a path up with: pachfs discard %s:PATH; or decide for all: pachfs commit --on-conflict ours|theirs\n", st.Branch)
		}
		for _, o := range st.Overwritten {
			fmt.Fprintf(w, "\n%s: %s lies on a change of somebody else, which is readable in commit %s\n", st.Branch, o.Path.Line(), o.Commit)
		}
		if len(st.Writing) > 0 {
			fmt.Fprintf(w, "\n%s: being written, or never closed; a commit takes what was there at the last close:\n  %s\n", st.Branch, strings.Join(st.Writing.Lines(), "\n  "))
		}
		if st.LastError != nil {
			fmt.Fprintf(w, "\n%s: at %s: %s\n", st.Branch, st.LastError.Time.Format("2006-01-02 15:04:05"), st.LastError.Message)
		}
	}
	return nil
}

// elide shortens a name in the middle: the repo and the branch both show.
func elide(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-n/2-1] + "…" + s[len(s)-n/2:]
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}

// human writes a number of bytes for people.
func human(n int64) string {
	const names = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(names)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, names[i])
}
