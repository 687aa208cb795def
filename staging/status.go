package staging

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"time"

	"pachfs/pachclient"
)

// progress is what the status tells besides the tree. Guarded by Overlay.statusMu.
type progress struct {
	committing bool
	looking    context.CancelFunc // ends a look at the head that is under way; nil: there is none
	uploaded   int64
	offline    bool
	why        *LastError // of offline
	head       string     // the branch's head as it was seen last
	seen       string     // a head that needs no second look
	seenAt     time.Time
	conflicts  []string
	over       []Overwritten
	last       string
	errTime    time.Time
	errText    string
}

// State is the condition of a branch in one word.
type State string

// The states, the most pressing first: a branch in conflict may have changes
// staged too.
const (
	Committing State = "committing"
	Conflict   State = "conflict"
	Offline    State = "offline"
	Staged     State = "staged"
	Clean      State = "clean"
)

// A Status is what `.status` shows. The keys are a contract with scripts.
type Status struct {
	Branch      string           `json:"branch"`
	Base        string           `json:"base"`
	Head        string           `json:"head"`
	State       State            `json:"state"`
	Staged      StagedCount      `json:"staged"`
	Conflicts   pachclient.Paths `json:"conflicts"`
	Writing     pachclient.Paths `json:"writing,omitempty"` // staged files that a commit would not take as they are: open and changed, or never closed; 100 at most
	LastCommit  string           `json:"last_commit"`
	LastError   *LastError       `json:"last_error"`
	ReadOnly    bool             `json:"read_only,omitempty"`
	Uploaded    int64            `json:"uploaded,omitempty"` // bytes of the commit under way
	Overwritten []Overwritten    `json:"overwritten,omitempty"`
}

// StagedCount says how much is staged.
type StagedCount struct {
	Files   int        `json:"files"`   // files that are new, changed or moved; a directory that moved counts as one
	Deleted int        `json:"deleted"` // paths that are gone
	Bytes   int64      `json:"bytes"`   // on the local disk
	Oldest  *time.Time `json:"oldest"`  // the earliest time of a staged file
}

// A LastError is the last thing that went wrong with a branch.
type LastError struct {
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
}

// Overwritten names a path that a commit of ours lies on though somebody else
// changed it: in the same instant, or before and the policy is Ours. Their bytes
// are readable in Commit.
type Overwritten struct {
	Path   pachclient.Path `json:"path"`
	Commit string          `json:"commit"`
}

// Status tells how the branch stands. It asks nobody.
func (o *Overlay) Status() Status {
	o.mu.RLock()
	s := Status{Branch: o.branch.String(), Base: o.base.info.Commit.ID, ReadOnly: o.ReadOnly(), Conflicts: []string{}}
	s.Staged, s.Writing = o.count(), o.writing(mostWriting)
	o.mu.RUnlock()
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	p := &o.progress
	s.Head, s.LastCommit, s.Overwritten = p.head, p.last, slices.Clone(p.over)
	if s.Head == "" {
		s.Head = s.Base
	}
	s.Conflicts = append(s.Conflicts, p.conflicts...)
	if p.errText != "" {
		s.LastError = &LastError{p.errTime, p.errText}
	} else if p.offline {
		s.LastError = p.why
	}
	switch {
	case p.committing:
		s.State, s.Uploaded = Committing, p.uploaded
	case len(p.conflicts) > 0:
		s.State = Conflict
	case p.offline:
		s.State = Offline
	case s.Staged.Files+s.Staged.Deleted > 0:
		s.State = Staged
	default:
		s.State = Clean
	}
	return s
}

// count goes over the layers. A path that several layers speak of counts once.
func (o *Overlay) count() (c StagedCount) {
	var oldest int64
	var above []*node
	for i := len(o.layers) - 1; i >= 0; i-- {
		root := o.layers[i].root
		root.unsaid(above, func(n *node) {
			switch n.kind {
			case whiteout:
				c.Deleted++
				return
			case dirNode:
				if n.lower != "" {
					c.Files++
				}
				return
			}
			n.file.mu.Lock()
			c.Files++
			c.Bytes += n.file.im.local()
			if t := n.file.attr.mtime; oldest == 0 || t < oldest {
				oldest = t
			}
			n.file.mu.Unlock()
		})
		above = append(above, root)
	}
	if oldest != 0 {
		t := time.Unix(0, oldest).UTC()
		c.Oldest = &t
	}
	return c
}

// mostWriting is how many files a status names as being written.
const mostWriting = 100

// unsaid calls fn with the nodes below n that say something of a path that none
// of the layers above speaks of. above are their nodes at the place of n.
func (n *node) unsaid(above []*node, fn func(*node)) {
	for name, c := range n.children {
		var over []*node
		said := false
		for _, u := range above {
			if x := u.children[name]; x != nil {
				over, said = append(over, x), said || x.says()
			}
		}
		if !said && c.says() {
			fn(c)
		}
		c.unsaid(over, fn)
	}
}

// says says whether a user would call the node a change.
func (n *node) says() bool {
	return n.changes() && !(n.kind == dirNode && n.lower == n.path())
}

// writing lists files that no close or sync completed. Called with mu held.
func (o *Overlay) writing(most int) []string {
	var out []string
	for _, set := range []map[*File]bool{o.open, o.half} {
		for f := range set {
			f.mu.Lock()
			if f.half() && len(out) < most {
				out = append(out, f.node.path())
			}
			f.mu.Unlock()
		}
	}
	sort.Strings(out)
	return out
}

// A DiffLine is one staged path: '+' is new, 'M' changed, '-' gone.
type DiffLine struct {
	Op   byte
	Path string
}

// Diff lists what is staged, by path. It tells apart what is new and what
// changed by what lies below, and asks nobody: a directory of the base that
// moved is one line, with a slash at its end.
func (o *Overlay) Diff() []DiffLine {
	o.mu.RLock()
	defer o.mu.RUnlock()
	lines := map[string]byte{}
	for i := len(o.layers) - 1; i >= 0; i-- {
		o.layers[i].root.walk(func(n *node) {
			if !n.changes() || n.kind == dirNode && (n.lower == n.path() || n.lower == "") {
				return
			}
			p, op := n.path(), byte('+')
			switch {
			case n.kind == whiteout:
				op = '-'
			case n.kind == dirNode:
				p += "/"
			case n.below:
				op = 'M'
			}
			if n.belowDir && op == '-' {
				p += "/"
			}
			if above, ok := lines[p]; !ok {
				lines[p] = op
			} else if above == 'M' && op == '+' {
				lines[p] = '+'
			} else if above == '-' && op == '+' {
				delete(lines, p)
			} else if above == '+' && op == '-' {
				lines[p] = 'M'
			}
		})
	}
	out := make([]DiffLine, 0, len(lines))
	for p, op := range lines {
		out = append(out, DiffLine{op, p})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// Dirty says whether anything is staged.
func (o *Overlay) Dirty() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, l := range o.layers {
		if !l.empty() {
			return true
		}
	}
	return false
}

// LastCommit is the ID of the last commit that was made here; "" for none.
func (o *Overlay) LastCommit() string {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	return o.progress.last
}

// Log lists the commits that were made here, newest first.
func (o *Overlay) Log() ([]LogEntry, error) { return readLog(o.d, o.logName()) }

func readLog(d disk, name string) ([]LogEntry, error) {
	b, err := readAll(d, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []LogEntry
	for line := range strings.Lines(string(b)) {
		var e LogEntry
		if json.Unmarshal([]byte(line), &e) == nil { // a torn last line is no entry
			out = append(out, e)
		}
	}
	slices.Reverse(out)
	return out, err
}

func appendLog(d disk, name string, e LogEntry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = d.Create(name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(append(b, '\n'), st.Size()); err != nil {
		return err
	}
	return f.Sync()
}

func (o *Overlay) setCommitting(on bool) {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	o.progress.committing, o.progress.uploaded = on, 0
}

func (o *Overlay) addUploaded(n int64) {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	o.progress.uploaded += n
}

func (p *progress) fail(err error) { p.errTime, p.errText = time.Now(), err.Error() }

// setError notes what went wrong, and says whether it is something new.
func (o *Overlay) setError(err error) bool {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	fresh := o.progress.errText != err.Error()
	o.progress.fail(err)
	return fresh
}

// setResult notes how a commit ended. A success without a commit leaves the last one.
func (o *Overlay) setResult(c pachclient.Commit, err error) {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	if err != nil {
		o.progress.fail(err)
		return
	}
	o.progress.errText = ""
	o.progress.offline, o.progress.why = false, nil
	o.progress.seen = ""
	if !c.Zero() {
		o.progress.last, o.progress.head = c.ID, c.ID
	}
}

// setOffline notes that the server is away, or refuses us, and why.
func (o *Overlay) setOffline(err error) {
	if !errors.Is(err, pachclient.ErrUnavailable) && !errors.Is(err, pachclient.ErrUnauthenticated) {
		return
	}
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	p := &o.progress
	if p.why == nil || p.why.Message != err.Error() {
		p.why = &LastError{time.Now(), err.Error()}
	}
	p.offline = true
}

func (o *Overlay) setOnline(b pachclient.BranchInfo) {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	o.progress.offline, o.progress.why, o.progress.head = false, nil, b.Head.ID
}

func (o *Overlay) setConflicts(paths []string) {
	paths = slices.Compact(slices.Sorted(slices.Values(paths))) // a list of its own: the caller's stays as it is
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	o.progress.conflicts = paths
}

func (o *Overlay) conflicted() bool {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	return len(o.progress.conflicts) > 0
}

func (o *Overlay) addOverwritten(p string, c pachclient.Commit) {
	o.log.Warn("our commit lies over a change of somebody else", "path", p, "commit", c.ID)
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	o.progress.over = append(o.progress.over, Overwritten{pachclient.Path(p), c.ID})
}

// unseen says whether a head is worth a look: it is new, or a conflict may be over.
func (o *Overlay) unseen(c pachclient.Commit) bool {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	return o.progress.seen != c.ID || len(o.progress.conflicts) > 0 && time.Since(o.progress.seenAt) > time.Second
}

func (o *Overlay) setSeen(c pachclient.Commit) {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	o.progress.seen, o.progress.seenAt = c.ID, time.Now()
}
