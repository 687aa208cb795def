package embedded

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcmd "google.golang.org/grpc/metadata"

	"pachfs/pachclient/pfspb/pfs"
)

func fromURL(path, url string, recursive bool) op {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{
		Path: path, Source: &pfs.AddFile_Url{Url: &pfs.AddFile_URLSource{URL: url, Recursive: recursive}}}}}
}

// site is a web server on loopback; what it gives is named by the path.
func site(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/small", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "small") })
	mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3000 {
			fmt.Fprintf(w, "%01024d", i)
		}
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		fmt.Fprint(w, strings.Repeat("x", 1000))
	})
	mux.Handle("/moved", http.RedirectHandler("/small", http.StatusFound))
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 100_000))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestFilesFromURLs(t *testing.T) {
	p, web := start(t, t.TempDir(), Options{}), site(t)
	p.repo("r")
	p.modify(head("r", "master"), add("/kept", "k"), add("/more", "1"), add("/old", "o"))
	p.modify(head("r", "master"), del("/old"), fromURL("/old", web+"/small", false), fromURL("/more", web+"/small?q=1", false),
		fromURL("moved", web+"/moved", true), fromURL("/empty", web+"/empty", false), add("/more", "!"))
	p.wantTree(head("r", "master"), "/empty=", "/kept=k", "/more=1small!", "/moved=small", "/old=small")
	if n := len(p.log("r")); n != 2 {
		t.Errorf("%d commits", n)
	}
	p.modify(head("r", "master"), fromURL("/large", web+"/large", false))
	if got := p.get(head("r", "master"), "/large"); len(got) != 3000*1024 || got[2999*1024:] != fmt.Sprintf("%01024d", 2999) {
		t.Errorf("large: %d bytes", len(got))
	}
	set := p.fileSet(fromURL("/in-set", web+"/small", false))
	p.wantTree(setRef(set), "/in-set=small")
}

// What can't be had, or not whole, leaves nothing behind.
func TestBrokenURLs(t *testing.T) {
	p, web := start(t, t.TempDir(), Options{}), site(t)
	p.repo("r")
	p.modify(head("r", "master"), add("/a", "1"))
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that we don't trust it
	tls.StartTLS()
	defer tls.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	p.ok(err)
	closed.Close()
	for _, c := range []struct {
		url   string
		code  codes.Code
		words string
	}{
		{"", codes.Unknown, "unrecognized object store: "},
		{"/etc/passwd", codes.Unknown, "unrecognized object store: "},
		{"ftp://127.0.0.1/x", codes.Unknown, "unrecognized object store: ftp"},
		{"s3://bucket/x", codes.Unimplemented, `fetches http and https URLs only, not "s3://bucket/x"`},
		{"file:///etc/passwd", codes.Unimplemented, "fetches http and https URLs only"},
		{"http://a b/", codes.Unknown, "invalid character"},
		{"http://", codes.Unknown, "no Host in request URL"},
		{web + "/none", codes.Unknown, fmt.Sprintf("error retrieving content from %q: 404 Not Found", web+"/none")},
		{web + "/cut", codes.Unknown, "error retrieving content from " + web + "/cut: unexpected EOF"},
		{"http://" + closed.Addr().String() + "/x", codes.Unknown, "connection refused"},
		{tls.URL + "/x", codes.Unknown, "certificate signed by unknown authority"},
	} {
		err := p.modifyErr(head("r", "master"), add("/b", "2"), del("/a"), fromURL("/c", c.url, false), add("/d", "4"))
		p.fails(err, c.code, c.words)
	}
	p.wantTree(head("r", "master"), "/a=1")
	if n := len(p.log("r")); n != 1 {
		t.Errorf("%d commits", n)
	}
}

// A download ends with the call that wanted it.
func TestSlowURLIsCancelled(t *testing.T) {
	p, web := start(t, t.TempDir(), Options{}), site(t)
	p.repo("r")
	ctx, cancel := context.WithCancel(p.ctx)
	stream, err := p.ModifyFile(ctx)
	p.ok(err)
	p.ok(stream.Send(setCommit(head("r", "master"))))
	p.ok(stream.Send(fromURL("/slow", web+"/slow", false)))
	waitFor(t, func() bool { return p.s.Stats().BytesReceived > 0 })
	begin := time.Now()
	cancel()
	_, err = stream.CloseAndRecv()
	p.fails(err, codes.Canceled, "")
	waitFor(t, func() bool {
		free := p.s.gate.TryLock() // the handler has let go
		if free {
			p.s.gate.Unlock()
		}
		return free
	})
	t.Logf("over after %v", time.Since(begin))
	if n := len(p.log("r")); n != 0 {
		t.Errorf("%d commits", n)
	}
}

// A call that waits for a transaction does not happen without it.
func TestNoTransactions(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	in := grpcmd.AppendToOutgoingContext(p.ctx, transactionKey, "0123")
	_, err := p.CreateRepo(in, &pfs.CreateRepoRequest{Repo: repoRef("r")})
	p.fails(err, codes.NotFound, "transactions 0123 not found")
	_, err = p.InspectRepo(in, &pfs.InspectRepoRequest{Repo: repoRef("r")})
	p.fails(err, codes.NotFound, "repo default/r not found")
	none := grpcmd.AppendToOutgoingContext(p.ctx, transactionKey, "") // pachyderm-sdk, after a transaction
	_, err = p.CreateRepo(none, &pfs.CreateRepoRequest{Repo: repoRef("r")})
	p.ok(err)
}
