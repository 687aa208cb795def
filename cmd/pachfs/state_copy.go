package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

// errUnread marks a file that could not be read, as against written.
var errUnread = errors.New("not read")

// file copies one file; holes stay holes.
func (e *export) file(ctx context.Context, f *staging.Found, p, to string, i staging.Info) error {
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	err = f.Read(ctx, p, func(src staging.Reading) error { return copyFile(ctx, dst, src) })
	if err != nil && !errors.Is(err, errWrite) {
		err = fmt.Errorf("%w: %w", errUnread, err)
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return stamp(to, i)
}

var errWrite = errors.New("write")

func copyFile(ctx context.Context, dst *os.File, src staging.Reading) error {
	buf := make([]byte, min(1<<20, src.Size()))
	for off := int64(0); off < src.Size(); {
		n, err := src.ReadAt(ctx, buf, off)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		if slices.ContainsFunc(buf[:n], func(b byte) bool { return b != 0 }) {
			if _, err := dst.WriteAt(buf[:n], off); err != nil {
				return errors.Join(errWrite, err)
			}
		}
		off += int64(n)
	}
	if err := dst.Truncate(src.Size()); err != nil {
		return errors.Join(errWrite, err)
	}
	return nil
}

// stamp gives a copy the mode and the time of what it is a copy of.
func stamp(to string, i staging.Info) error {
	if mode, ok := i.Perm(); ok {
		if err := os.Chmod(to, iofs.FileMode(mode&0o777)); err != nil {
			return err
		}
	}
	if i.ModTime.Unix() <= 0 {
		return nil
	}
	return os.Chtimes(to, time.Time{}, i.ModTime)
}

// stampDirs comes when nothing is put into them any more, from the bottom up.
func stampDirs(dirs map[string]staging.Info) error {
	var names []string
	for to := range dirs {
		names = append(names, to)
	}
	slices.Sort(names)
	slices.Reverse(names)
	var errs []error
	for _, to := range names {
		errs = append(errs, stamp(to, dirs[to]))
	}
	return errors.Join(errs...)
}

// listed gives a path as it stands in a list, below the branch and on one line.
func listed(p string) string { return pachclient.Path(strings.TrimPrefix(p, "/")).Line() }

// list writes paths, one a line; none at all makes no file.
func list(name string, paths []string) error {
	lines := make([]string, len(paths))
	for i, p := range paths {
		lines[i] = listed(p)
	}
	return writeLines(name, lines)
}

func writeLines(name string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o666)
}
