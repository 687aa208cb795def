package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"pachfs/staging"
)

// printStates is a table for each directory; branches without changes are counted.
func printStates(w io.Writer, list []stateInfo) error {
	for n, i := range list {
		if n > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", i.Dir, i.belongs())
		if i.Problem != "" {
			fmt.Fprintf(w, "  %s\n", i.Problem)
		}
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		clean := 0
		for _, b := range i.Branches {
			if b.quiet() {
				clean++
			}
			if b.quiet() || b.Problem != "" || b.Unread {
				continue
			}
			fmt.Fprintf(tw, "  %s/%s\t%s\t%d changed\t%d deleted\t%s\tsince %s\tof cluster %s\n", b.Project, elide(b.Branch, 28), b.State,
				b.Staged.Files, b.Staged.Deleted, human(b.Staged.Bytes), oldest(b.Staged), shorten(b.Deployment, 8))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		for _, b := range i.Branches {
			b.notes(w)
		}
		if clean > 0 {
			fmt.Fprintf(w, "  nothing staged: branches: %d\n", clean)
		}
	}
	return nil
}

// belongs says in words whose directory it is.
func (i stateInfo) belongs() string {
	at := i.Mountpoint
	if at == "" {
		at = "a mountpoint that is not known"
	}
	if i.PID != 0 {
		return fmt.Sprintf("of %s, mounted (pid %d)", at, i.PID)
	}
	return fmt.Sprintf("of %s, not mounted", at)
}

func (b stateBranch) quiet() bool {
	return b.Staged.Files+b.Staged.Deleted+b.Sealed == 0 && !b.Sent && !b.Unread && b.Problem == "" && b.State != staging.Committing
}

// notes are the lines below the table.
func (b stateBranch) notes(w io.Writer) {
	if b.Problem != "" {
		fmt.Fprintf(w, "  %s: %s\n", b.Branch, b.Problem)
	}
	if b.Unread {
		fmt.Fprintf(w, "  %s/%s: kept, and not used by the mount: what is staged for it is not known\n", b.Project, b.Branch)
	}
	if len(b.Writing) > 0 {
		fmt.Fprintf(w, "  %s: being written, and in no commit yet: %s\n", b.Branch, strings.Join(b.Writing.Lines(), " "))
	}
	if len(b.Conflicts) > 0 {
		fmt.Fprintf(w, "  %s: somebody else changed: %s\n", b.Branch, strings.Join(b.Conflicts.Lines(), " "))
	}
	if b.Sent {
		fmt.Fprintf(w, "  %s: a commit was sent, and whether it happened is not known yet\n", b.Branch)
	} else if b.Sealed > 0 {
		fmt.Fprintf(w, "  %s: a commit was begun, and not sent\n", b.Branch)
	}
}

func oldest(c staging.StagedCount) string {
	if c.Oldest == nil {
		return "-"
	}
	return c.Oldest.Local().Format("2006-01-02 15:04")
}
