package names_test

import (
	"context"
	"fmt"
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/names"
)

// A huge is a client whose every directory has that many files.
type huge struct {
	pachclient.Client
	stored []pachclient.FileInfo
}

func (h huge) At(pachclient.Commit) pachclient.Reader { return hugeReader{stored: h.stored} }

type hugeReader struct {
	pachclient.Reader
	stored []pachclient.FileInfo
}

func (h hugeReader) List(_ context.Context, _ string, fn func(pachclient.FileInfo) error) error {
	for _, fi := range h.stored {
		if err := fn(fi); err != nil {
			return err
		}
	}
	return nil
}

// What a listing of 100,000 names costs beyond that of the client below.
func BenchmarkList(b *testing.B) {
	for what, form := range map[string]string{"plain": "/photo %06d.jpg", "encoded": "/photo (%06d) ö.jpg"} {
		b.Run(what, func(b *testing.B) {
			var h huge
			for i := range 100_000 {
				h.stored = append(h.stored, pachclient.FileInfo{Path: names.Encode(fmt.Sprintf(form, i))})
			}
			r := names.New(h).At(pachclient.Commit{})
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				if err := r.List(b.Context(), "/", func(pachclient.FileInfo) error { n++; return nil }); err != nil || n != 100_000 {
					b.Fatal(n, err)
				}
			}
		})
	}
}
