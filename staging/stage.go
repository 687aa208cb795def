package staging

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"pachfs/pachclient"
)

// Options are what a Stage needs to know besides its directory.
type Options struct {
	Client     pachclient.Client
	Deployment string // which Pachyderm Client speaks to; "" while it can't be reached: then it is asked when a branch is used for the first time
	Host       string // goes onto commits as pachfs.host
	Logger     *slog.Logger

	ReadOnly func(b pachclient.Branch) bool // branches where nothing may be staged; nil: none

	// ValidName says whether a name can be stored, before a file gets it; nil:
	// pachclient.ValidName. Naming says how Client stores names; "": as they are.
	// What is staged under one naming is not opened under another, unless Named
	// gives the client of each: then every branch is opened under its own.
	ValidName func(name string) error
	Naming    string
	Named     func(naming string) pachclient.Client

	OnConflict Policy // what a commit does where somebody else changed a staged path; "": Fail

	SyncAfter     time.Duration // closed files and journals are on disk that long after their last change; 0: 5 s
	CommitTimeout time.Duration // a commit fails after that long without progress; 0: 60 s
	LandTimeout   time.Duration // the deadline of the call that makes the commit; 0: 30 s

	lookEvery time.Duration // between two looks at the heads; 0: pollEvery, negative: none is made

	// Changed is called after a branch shows something else than before for a
	// reason that is not a change made here: paths that others changed, or
	// that were discarded. A directory stands for all below it. No lock is held.
	Changed func(b pachclient.Branch, paths []string)
}

func (o *Options) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.SyncAfter, 5*time.Second)
	set(&o.CommitTimeout, time.Minute)
	set(&o.LandTimeout, 30*time.Second)
	set(&o.lookEvery, pollEvery)
	if o.ValidName == nil {
		o.ValidName = pachclient.ValidName
	}
	if o.OnConflict == "" {
		o.OnConflict = Fail
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func(pachclient.Branch, []string) {}
	}
}

// A Stage is a state directory: the staged changes of all branches of a mount.
// One process holds it at a time.
type Stage struct {
	dir  string
	d    disk
	opts Options
	lock *os.File
	room *reserve
	stop chan struct{}
	done sync.WaitGroup
	look bool          // nothing is changed: see Inspect
	due  chan struct{} // a look at the heads that waits for no tick

	mu         sync.Mutex // guards what follows; not held across the network
	overlays   map[pachclient.Branch]*Overlay
	opening    map[pachclient.Branch]chan struct{}
	deployment string
	closed     bool
}

// Open takes the state directory, and makes it when it is missing. What is
// staged there is read when its branch is asked for.
func Open(dir string, o Options) (*Stage, error) { return openOn(osDisk{}, dir, o) }

func newStage(d disk, dir string, o Options) *Stage {
	o.defaults()
	return &Stage{dir: dir, d: d, opts: o, stop: make(chan struct{}), due: make(chan struct{}, 1), deployment: o.Deployment,
		overlays: map[pachclient.Branch]*Overlay{}, opening: map[pachclient.Branch]chan struct{}{}}
}

func openOn(d disk, dir string, o Options) (*Stage, error) {
	s := newStage(d, dir, o)
	if _, err := s.checkFormat(); err != nil {
		return nil, err
	}
	if err := s.d.MkdirAll(filepath.Join(dir, "branches")); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if err := s.take(); err != nil {
		lock.Close()
		return nil, err
	}
	s.room = newReserve(d, dir, filepath.Join(dir, "reserve"), s.opts.Logger)
	s.done.Go(s.syncLoop)
	if s.opts.lookEvery > 0 {
		s.done.Go(s.followLoop)
	}
	return s, nil
}

// take makes the locked directory this process's, unless a newer pachfs wrote it.
func (s *Stage) take() error {
	fresh, err := s.checkFormat()
	if err == nil {
		err = s.refuseNewer()
	}
	if err == nil {
		err = signLock(s.lock)
	}
	if err == nil && fresh {
		err = writeDurably(s.d, filepath.Join(s.dir, "format"), []byte(formatLine(stateWord, stateFormat)))
	}
	return err
}

// checkFormat reads which layout the directory has; fresh: none yet.
func (s *Stage) checkFormat() (fresh bool, err error) {
	b, err := readAll(s.d, filepath.Join(s.dir, "format"))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err == nil {
		_, err = readFormat(b, stateWord, stateFormat)
	}
	if err != nil {
		err = fmt.Errorf("%s: format: %w", s.dir, err)
	}
	return false, err
}

// Deployment is the cluster that this stage is for; "" while that is not known.
func (s *Stage) Deployment() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deployment
}

// learnDeployment asks which Pachyderm answers, if that is not known: what is
// staged for a new branch belongs to that one.
func (s *Stage) learnDeployment(ctx context.Context) error {
	if s.Deployment() != "" {
		return nil
	}
	c, err := s.opts.Client.Cluster(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deployment = c.Deployment
	return nil
}

// branchMeta says whose changes a branch directory holds.
type branchMeta struct {
	Deployment string `json:"deployment"`
	Project    string `json:"project"`
	Repo       string `json:"repo"`
	Branch     string `json:"branch"`
	Naming     string `json:"naming,omitempty"`
}

func (m branchMeta) branch() pachclient.Branch {
	return pachclient.Branch{Project: m.Project, Repo: m.Repo, Name: m.Branch}
}

func (s *Stage) branchDir(b pachclient.Branch) string {
	return filepath.Join(s.dir, "branches", url.PathEscape(b.Project)+"+"+b.Repo+"@"+b.Name)
}

// Overlay gives the branch with its staged changes; the same one every time.
// fs.ErrNotExist: no such branch and no such repo, and nothing is staged for it.
func (s *Stage) Overlay(ctx context.Context, b pachclient.Branch) (*Overlay, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		if o := s.overlays[b]; o != nil {
			s.mu.Unlock()
			return o, nil
		}
		wait := s.opening[b]
		if wait == nil {
			wait = make(chan struct{})
			s.opening[b] = wait
			s.mu.Unlock()
			o, err := s.openOverlay(ctx, b)
			s.mu.Lock()
			delete(s.opening, b)
			if err == nil {
				s.overlays[b] = o
			}
			s.mu.Unlock()
			close(wait)
			s.lookSoon() // what is kept says which head there was then
			return o, err
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// At gives a commit as a read-only tree.
func (s *Stage) At(info CommitInfo) *Overlay {
	o := s.newOverlay(info.Commit.Branch, "")
	o.readOnly.Store(true)
	o.layers = []*layer{newLayer(0)}
	o.base = &base{info: info, r: s.opts.Client.At(info.Commit)}
	return o
}

func (s *Stage) newOverlay(b pachclient.Branch, dir string) *Overlay {
	o := &Overlay{branch: b, client: s.opts.Client, d: s.d, dir: dir, opts: s.opts, stage: s,
		log: s.opts.Logger.With("branch", b.String()), landing: make(chan struct{}, 1),
		closing: make(chan struct{}), open: map[*File]bool{}, half: map[*File]bool{}}
	o.files = fileTable{o: o, byID: map[uint64]*File{}}
	o.landing <- struct{}{}
	return o
}

// Overlays gives those that are open, by name.
func (s *Stage) Overlays() []*Overlay {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Overlay, 0, len(s.overlays))
	for _, o := range s.overlays {
		out = append(out, o)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].branch.String() < out[j].branch.String() })
	return out
}

// Kept lists the branches for which something is kept in the state directory.
func (s *Stage) Kept() ([]pachclient.Branch, error) {
	metas, err := s.keptMeta()
	var out []pachclient.Branch
	for _, m := range metas {
		out = append(out, m.branch())
	}
	return out, err
}

func (s *Stage) keptMeta() ([]branchMeta, error) {
	names, err := s.d.ReadDir(filepath.Join(s.dir, "branches"))
	if err != nil {
		return nil, err
	}
	var out []branchMeta
	for _, name := range names {
		m, err := s.readMeta(filepath.Join(s.dir, "branches", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (s *Stage) readMeta(dir string) (m branchMeta, err error) {
	b, err := readAll(s.d, filepath.Join(dir, "branch.json"))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", dir, err)
	}
	return m, err
}

// syncLoop makes what was closed durable within SyncAfter.
func (s *Stage) syncLoop() {
	tick := time.NewTicker(s.opts.SyncAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		for _, o := range s.Overlays() {
			if err := o.syncClosed(); err != nil {
				o.log.Error("sync of staged files failed", "err", err)
			}
		}
	}
}

// Close syncs everything and gives the state directory back. Nothing lands.
func (s *Stage) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	for _, o := range s.Overlays() {
		close(o.closing) // a commit under way ends; its layers stay
	}
	s.done.Wait()
	var errs []error
	staged := false
	for _, o := range s.Overlays() {
		staged = staged || o.Dirty()
		errs = append(errs, o.syncClosed(), o.close())
	}
	At("overlays")
	errs = append(errs, s.room.close(staged))
	if s.lock != nil { // one that is looked at may have none
		errs = append(errs, s.lock.Close())
	}
	At("stage-ended")
	return errors.Join(errs...)
}

// OnConflict is the policy of a commit that names none.
func (s *Stage) OnConflict() Policy { return s.opts.OnConflict }

// Dir is the state directory.
func (s *Stage) Dir() string { return s.dir }
