package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"pachfs/fs"
	"pachfs/pachclient"
	"pachfs/pachclient/cache"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/names"
	"pachfs/pachclient/remote"
	"pachfs/staging"
)

// serverFlags choose a Pachyderm.
type serverFlags struct {
	pachd, context, store, project string
}

func (f *serverFlags) add(flags *pflag.FlagSet) {
	f.addServer(flags)
	flags.StringVar(&f.project, "project", "", "project (default: that of the context, or \"default\")")
}

// addServer adds those that say where it is.
func (f *serverFlags) addServer(flags *pflag.FlagSet) {
	flags.StringVar(&f.pachd, "pachd", "", "address of a pachd: grpc://host:port, grpcs://host:port or unix:///path")
	flags.StringVar(&f.context, "context", "", "context of pachctl's configuration (default: the active one)")
	flags.StringVar(&f.store, "store", "", "directory of an embedded Pachyderm, instead of a server")
	for _, name := range []string{"pachd", "context", "store"} {
		flags.SetAnnotation(name, oneOf, []string{"server"})
	}
}

// A server is the Pachyderm that a command speaks to.
type server struct {
	address    string // for people, as it was at the start
	project    string
	named      string         // the context that --context names; "": none
	context    remote.Context // what pachctl's configuration says; zero: it plays no part
	deployment string         // of the cluster that answered first
	remote     *remote.Client
	embedded   *embedded.Server // nil: elsewhere
}

// noServer names every way to say where the Pachyderm is.
const noServer = "no Pachyderm is named: give --pachd grpc://host:port, or --context NAME (or an active context in pachctl's configuration), or --store DIR for an embedded one"

// connect finds the Pachyderm that the flags and pachctl's configuration name.
func (f *serverFlags) connect(ctx context.Context, log *slog.Logger) (*server, error) {
	s := &server{address: f.pachd, project: f.project, named: f.context}
	conf := remote.Config{Address: f.pachd, Logger: log, Login: "pachctl auth login, and mount that --context: --pachd takes no token"}
	given := 0
	for _, v := range []string{f.pachd, f.store, f.context} {
		if v != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, usage("--pachd, --store and --context exclude each other")
	case f.store != "":
		var err error
		if s.embedded, err = embedded.Open(f.store, embedded.Options{Logger: log}); err != nil {
			return nil, err
		}
		s.address, conf.Dialer = "the store "+f.store, s.embedded.Dial
	case f.pachd == "":
		c, err := s.load()
		if errors.Is(err, iofs.ErrNotExist) && f.context == "" {
			return nil, usage("%s (%w)", noServer, err)
		} else if err != nil {
			return nil, usage("%w", err)
		}
		s.address, s.context = c.Address, c
		conf = dialing(c, log)
		if s.project == "" {
			s.project = c.Project
		}
	}
	if s.project == "" {
		s.project = pachclient.DefaultProject
	}
	var err error
	if s.remote, err = remote.Dial(ctx, conf); err != nil {
		return nil, errors.Join(usage("%w", err), s.close())
	}
	return s, nil
}

// close ends an embedded server; the client is closed by whoever wraps it.
func (s *server) close() error {
	if s.embedded == nil {
		return nil
	}
	return s.embedded.Close()
}

// cluster asks who answers, and explains it when nobody does. From then on
// nobody else may.
func (s *server) cluster(ctx context.Context) (pachclient.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	c, err := s.remote.Cluster(ctx)
	switch {
	case c.Deployment != "" && s.context.Deployment != "" && c.Deployment != s.context.Deployment:
		return c, fmt.Errorf("%s is cluster %s, but context %q is of cluster %s (if that was replaced on purpose: pachctl config update context %s --remove-cluster-deployment-id)",
			s.address, c.Deployment, s.context.Name, s.context.Deployment, s.context.Name)
	case err == nil:
		s.deployment = c.Deployment
		s.remote.Pin(c.Deployment)
		return c, nil
	case errors.Is(err, pachclient.ErrUnauthenticated), errors.Is(err, iofs.ErrPermission):
		return c, fmt.Errorf("%s refuses the login: %w", s.address, err)
	case strings.Contains(err.Error(), "x509:"):
		return c, fmt.Errorf("%s has a certificate that is not trusted here; the CA belongs into server_cas of the context: %w", s.address, err)
	case errors.Is(err, pachclient.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return c, fmt.Errorf("%s can't be reached; is the address right (grpcs:// is with TLS, grpc:// is without), is pachd running, is a port-forward or a VPN down? %w", s.address, err)
	}
	return c, fmt.Errorf("%s: %w", s.address, err)
}

// defaultMemory is what listings and streams may take.
const defaultMemory = 128 << 20

// mountFlags are those of mount that shape the parts.
type mountFlags struct {
	serverFlags
	state, cacheDir                  string
	cacheSize, memory                size
	only, writable, onConflict       string
	readOnly, allowOther             bool
	encodeNames                      bool
	uid, gid                         uint32
	umask                            string
	commitTimeout, stopTimeout, sync time.Duration
	ioTimeout                        time.Duration
	logLevel, logFormat              string
	daemon                           bool
}

func (f *mountFlags) add(flags *pflag.FlagSet) {
	f.serverFlags.add(flags)
	f.cacheSize, f.memory = 10<<30, defaultMemory
	flags.StringVar(&f.state, "state", "", "directory for staged changes (default: $XDG_STATE_HOME/pachfs/ESCAPED-MOUNTPOINT, or below /var/lib/pachfs for root)")
	flags.StringVar(&f.cacheDir, "cache-dir", "", "directory for cached contents (default: $XDG_CACHE_HOME/pachfs, or /var/cache/pachfs for root)")
	flags.Var(&f.cacheSize, "cache-size", "how much may be cached on disk; 0: nothing")
	flags.Var(&f.memory, "memory", "how much memory listings and streams may take")
	flags.StringVar(&f.only, "only", "", "mount only these branches: images@master,labels@*")
	flags.StringVar(&f.writable, "writable", "", "let only these branches be written: labels@*")
	flags.StringVar(&f.onConflict, "on-conflict", string(staging.Fail), onConflictHelp)
	flags.BoolVar(&f.encodeNames, "encode-names", false, "store names that Pachyderm refuses percent-encoded, and show them decoded")
	flags.BoolVar(&f.readOnly, "read-only", false, "let nothing be written")
	flags.BoolVar(&f.allowOther, "allow-other", false, "let other users in (needs user_allow_other in /etc/fuse.conf, or root)")
	flags.Uint32Var(&f.uid, "uid", uint32(os.Geteuid()), "owner of what nobody made here")
	flags.Uint32Var(&f.gid, "gid", uint32(os.Getegid()), "group of what nobody made here")
	flags.StringVar(&f.umask, "umask", "022", "permission bits, octal, that what nobody made here does not have")
	waitVar(flags, &f.commitTimeout, "commit-timeout", time.Minute, commitTimeoutHelp)
	waitVar(flags, &f.stopTimeout, "stop-timeout", time.Minute, "the last commit, on unmount, is given up after that long without progress")
	waitVar(flags, &f.ioTimeout, "io-timeout", 30*time.Second, "a read, stat or listing that needs the server fails after that long without an answer; 0: it waits until it is killed")
	waitVar(flags, &f.sync, "sync-after", 5*time.Second, "closed files are on disk that long after their last change; 0: 5s")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	flags.BoolVar(&f.daemon, "daemon", false, "go into the background once the mount is there")
}

// parts are all that a mount is made of.
type parts struct {
	server *server
	cache  *cache.Client
	stage  *staging.Stage
	tree   *fs.Tree
}

// reach connects to the Pachyderm that the flags name and asks who it is.
// Contents come by way of a cache: a file that is read piece by piece would
// otherwise be fetched again for each.
func (f *serverFlags) reach(ctx context.Context, o cache.Options) (p *parts, err error) {
	p = &parts{}
	if p.server, err = f.connect(ctx, o.Logger); err != nil {
		return nil, err
	}
	if _, err = p.server.cluster(ctx); err == nil {
		p.cache, err = cache.New(p.server.remote, o)
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// assemble puts a mount together, from the server up; nothing is mounted yet.
func (f *mountFlags) assemble(ctx context.Context, log *slog.Logger) (p *parts, err error) {
	umask, err := parseUmask(f.umask)
	if err != nil {
		return nil, err
	}
	only, err := parsePatterns("--only", f.only)
	if err != nil {
		return nil, err
	}
	writable, err := parsePatterns("--writable", f.writable)
	if err != nil {
		return nil, err
	}
	policy, err := staging.ParsePolicy(f.onConflict)
	if err != nil {
		return nil, usage("--on-conflict: %w", err)
	}
	if f.sync > 0 && f.sync < time.Millisecond {
		return nil, usage("--sync-after: %v is too short: 1ms is the least", f.sync)
	}
	dir := f.cacheDir
	if f.cacheSize == 0 {
		dir = ""
	}
	p, err = f.reach(ctx, cache.Options{Dir: dir, DiskBytes: int64(f.cacheSize), MemoryBytes: int64(f.memory), Logger: log})
	if err != nil {
		return nil, err
	}
	client, naming, validName := f.names(p.cache)
	host, _ := os.Hostname()
	p.stage, err = staging.Open(f.state, staging.Options{
		Client: client, Deployment: p.server.deployment, Host: host, Logger: log,
		ValidName: validName, Naming: naming,
		ReadOnly:   func(b pachclient.Branch) bool { return f.readOnly || !writable(b) },
		OnConflict: policy, SyncAfter: f.sync, CommitTimeout: f.commitTimeout,
		Changed: func(b pachclient.Branch, paths []string) { p.tree.Changed(b, paths) },
	})
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.tree = fs.New(fs.Config{Client: client, Stage: p.stage, Project: p.server.project, Only: only,
		UID: f.uid, GID: f.gid, Umask: umask, ReadOnly: f.readOnly, IOTimeout: f.ioTimeout, Logger: log})
	return p, nil
}

// encoded is the naming of what is staged with --encode-names.
const encoded = "encoded"

// named gives a client by the naming of what is staged.
func named(next pachclient.Client) func(naming string) pachclient.Client {
	return func(naming string) pachclient.Client {
		if naming == encoded {
			return names.New(next)
		}
		return next
	}
}

// names says how names are stored: as they are, or encoded.
func (f *mountFlags) names(next *cache.Client) (c pachclient.Client, naming string, valid func(string) error) {
	if f.encodeNames {
		return names.New(next), encoded, names.ValidName
	}
	return next, "", func(name string) error {
		err := pachclient.ValidName(name)
		if err != nil {
			err = fmt.Errorf("%w (pachfs mount --encode-names stores it encoded)", err)
		}
		return err
	}
}

// close takes the parts apart, from the top down.
func (p *parts) close() error {
	var errs []error
	if p.stage != nil {
		errs = append(errs, p.stage.Close())
	}
	switch {
	case p.cache != nil: // which owns the client
		errs = append(errs, p.cache.Close())
	case p.server != nil:
		errs = append(errs, p.server.remote.Close())
	}
	if p.server != nil {
		errs = append(errs, p.server.close())
	}
	return errors.Join(errs...)
}
