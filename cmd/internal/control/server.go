package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

// A Server answers for one mount. Its fields are set before Serve.
type Server struct {
	Stage      *staging.Stage
	Mountpoint string
	Address    func() string // of the Pachyderm
	Project    string
	Problem    func() string         // what is wrong with it or with its configuration; "": nothing
	Stop       func() <-chan Stopped // begins to stop; the channel gives how it ended

	http http.Server
}

// Serve answers on the listener until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	mux := http.NewServeMux()
	handle(mux, "GET /v1/health", func(*http.Request) (struct{}, error) { return struct{}{}, nil })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, &Error{r.Method + " " + r.URL.Path + ": no such call", ExitUsage})
	})
	handle(mux, "GET /v1/status", s.status)
	handle(mux, "GET /v1/diff", s.diff)
	handle(mux, "GET /v1/log", s.log)
	handle(mux, "POST /v1/commit", s.commit)
	handle(mux, "POST /v1/discard", s.discard)
	handle(mux, "POST /v1/stop", s.stop)
	s.http.Handler, s.http.ReadHeaderTimeout = mux, 10*time.Second
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown lets answers under way be sent, and ends.
func (s *Server) Shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// handle makes a function of a request into a handler that speaks JSON.
func handle[T any](mux *http.ServeMux, pattern string, fn func(r *http.Request) (T, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		out, err := fn(r)
		if err != nil {
			fail(w, httpStatus(ExitCode(err, false)), err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out)
	})
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(&Error{err.Error(), ExitCode(err, false)})
}

// httpStatus is for those who look at nothing else: the exit status in the
// body says it better.
func httpStatus(exit int) int {
	switch exit {
	case ExitUsage:
		return http.StatusBadRequest
	case ExitConflict:
		return http.StatusConflict
	case ExitStaged:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func body[T any](r *http.Request) (v T, err error) {
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		return v, &Error{"request: " + err.Error(), ExitUsage}
	}
	return v, nil
}

func (s *Server) status(*http.Request) (Info, error) {
	i := Info{Mountpoint: s.Mountpoint, Server: s.Address(), Project: s.Project, Problem: s.Problem(), StateDir: s.Stage.Dir(), PID: os.Getpid(), Branches: []staging.Status{}}
	for _, o := range s.Stage.Overlays() {
		i.Branches = append(i.Branches, o.Status())
	}
	return i, nil
}

func (s *Server) overlay(ctx context.Context, name string) (*staging.Overlay, error) {
	b, err := s.branchOf(name)
	if err != nil {
		return nil, err
	}
	return s.Stage.Overlay(ctx, b)
}

func (s *Server) diff(r *http.Request) ([]DiffLine, error) {
	o, err := s.overlay(r.Context(), r.FormValue("branch"))
	if err != nil {
		return nil, err
	}
	out := []DiffLine{}
	for _, d := range o.Diff() {
		out = append(out, DiffLine{string(d.Op), pachclient.Path(d.Path)})
	}
	return out, nil
}

func (s *Server) log(r *http.Request) ([]staging.LogEntry, error) {
	o, err := s.overlay(r.Context(), r.FormValue("branch"))
	if err != nil {
		return nil, err
	}
	entries, err := o.Log()
	if entries == nil {
		entries = []staging.LogEntry{}
	}
	return entries, err
}

func (s *Server) commit(r *http.Request) (Commits, error) {
	req, err := body[CommitRequest](r)
	if err != nil {
		return nil, err
	}
	var overlays []*staging.Overlay
	if req.Branch != "" {
		o, err := s.overlay(r.Context(), req.Branch)
		if err != nil {
			return nil, err
		}
		overlays = append(overlays, o)
	} else {
		for _, o := range s.Stage.Overlays() {
			if o.Dirty() {
				overlays = append(overlays, o)
			}
		}
	}
	policy := s.Stage.OnConflict()
	if req.OnConflict != "" {
		if policy, err = staging.ParsePolicy(req.OnConflict); err != nil {
			return nil, &Error{"policy for conflicts: " + err.Error(), ExitUsage}
		}
	}
	out := Commits{}
	var errs []error
	for _, o := range overlays {
		c, err := o.CommitBy(r.Context(), req.Message, policy)
		out[o.Branch().String()] = c.ID
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &Error{err.Error(), ExitCode(err, true)}
	}
	return out, nil
}

func (s *Server) discard(r *http.Request) (struct{}, error) {
	req, err := body[DiscardRequest](r)
	if err != nil {
		return struct{}{}, err
	}
	o, err := s.overlay(r.Context(), req.Branch)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, o.Discard(req.Paths...)
}

func (s *Server) stop(r *http.Request) (Stopped, error) {
	select {
	case how := <-s.Stop():
		return how, nil
	case <-r.Context().Done():
		return Stopped{}, r.Context().Err()
	}
}
