package cache

import (
	"context"
	"io/fs"
	"sort"

	"pachfs/pachclient"
)

// hugeListing is how many entries a lookup waits for. After that it is faster
// to ask for the one name, and leave the listing to come in its own time.
const hugeListing = 20_000

// lookup finds one name as soon as it is known to be there or not: in a huge
// directory that is long before the listing is complete.
func (l *listing) lookup(ctx context.Context, name string) (pachclient.FileInfo, error) {
	for {
		pages, more, done, err := l.state()
		info, known := l.find(pages, name)
		switch {
		case known || done && err == nil:
			if info.Path == "" {
				return info, fs.ErrNotExist
			}
			return info, nil
		case done:
			return info, err
		case len(pages) > hugeListing/pageEntries:
			return info, errHuge
		}
		select {
		case <-more:
		case <-ctx.Done():
			return info, ctx.Err()
		}
	}
}

// find looks a name up in what has arrived. The answer is known when it can't
// be changed by what is yet to come. A commit may hold a file and a directory
// of one name, with others between them; then Pachyderm tells of the directory.
func (l *listing) find(pages []page, name string) (info pachclient.FileInfo, known bool) {
	p, i, more := seek(pages, name+"/")
	if more && pages[p].key(i) == name+"/" {
		return l.info(pages[p], i), true
	}
	if p, i, ok := seek(pages, name); ok && pages[p].key(i) == name {
		return l.info(pages[p], i), more
	}
	return info, more
}

// seek finds the first entry whose key is not before key, if there is one.
func seek(pages []page, key string) (p, i int, ok bool) {
	p = sort.Search(len(pages), func(p int) bool {
		return pages[p].key(len(pages[p].records)-1) >= key
	})
	if p == len(pages) {
		return 0, 0, false
	}
	return p, sort.Search(len(pages[p].records), func(i int) bool { return pages[p].key(i) >= key }), true
}
