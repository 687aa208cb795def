package embedded

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

// fetch downloads for streams. No connection outlives its stream; a proxy is
// used where the environment names one, as in pachd.
var fetch = &http.Client{Transport: &http.Transport{
	Proxy:             http.ProxyFromEnvironment,
	DisableKeepAlives: true,
}}

// addURL appends what an http or https URL gives to a file. It lasts as long as
// the other server takes, or until the stream is cancelled. "recursive" and
// "concurrency" are about object stores: pachd ignores them here.
func (s *Server) addURL(ctx context.Context, g *stage, key string, src *pfs.AddFile_URLSource) error {
	u, err := url.Parse(src.GetURL())
	if err != nil {
		return err
	}
	switch u.Scheme {
	case "http", "https":
	case "azblob", "file", "gcs", "gs", "minio", "s3", "test-minio", "wasb":
		return fail(codes.Unimplemented, "the embedded server fetches http and https URLs only, not %q", src.URL)
	default:
		return unknown("unrecognized object store: %s", u.Scheme)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, src.URL, nil)
	if err != nil {
		return err
	}
	resp, err := fetch.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return unknown("error retrieving content from %q: %s", src.URL, resp.Status)
	}
	if err := g.add(key, nil); err != nil { // a file, even if nothing comes
		return err
	}
	_, err = io.Copy(appender{s, g, key}, resp.Body)
	return prefixed("error retrieving content from "+src.URL, err)
}

// An appender is a file of a stream to write to.
type appender struct {
	s   *Server
	g   *stage
	key string
}

func (a appender) Write(p []byte) (int, error) {
	a.s.stats.received.Add(int64(len(p)))
	return len(p), a.g.add(a.key, p)
}
