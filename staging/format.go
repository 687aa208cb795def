package staging

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
)

// The versions of what is written on disk, each counted from 1. An older one
// opens; a newer one is refused before anything is changed, with ErrNewerFormat:
// the format file when the layout is another, a journal's first line when its
// records are read another way, an unknown record or field when it is just one
// more. Whoever changes a format adds a directory to testdata/format.
const (
	stateFormat   = 1 // "pachfs-state N\n" in the file format
	journalFormat = 2 // "pachfs-journal N\n" before the records; in 1 a layer is sealed by `sealed` alone
	residueFormat = 1 // the key "format" of residue.db's bucket meta; none: 1
)

const (
	stateWord   = "pachfs-state"
	journalWord = "pachfs-journal"
)

// formatLine is the line that says the version.
func formatLine(word string, version int) string { return fmt.Sprintf("%s %d\n", word, version) }

// readFormat reads that line, and says how long it is.
func readFormat(b []byte, word string, newest int) (n int, err error) {
	line, _, whole := bytes.Cut(b[:min(len(b), len(word)+20)], []byte("\n"))
	number, ours := bytes.CutPrefix(line, []byte(word+" "))
	switch v, err := strconv.Atoi(string(number)); {
	case !ours:
		return 0, fmt.Errorf("no %s: %w", word, ErrCorrupt)
	case !whole || err != nil || v > newest:
		return 0, fmt.Errorf("%q, and this pachfs knows up to %d: %w", line, newest, ErrNewerFormat)
	case v < 1:
		return 0, fmt.Errorf("%q: %w", line, ErrCorrupt)
	}
	return len(line) + 1, nil
}

// refuseNewer fails when a newer pachfs wrote here. What else is wrong shows
// when a branch is opened. Nothing is changed.
func (s *Stage) refuseNewer() error {
	names, err := s.d.ReadDir(filepath.Join(s.dir, "branches"))
	if err != nil {
		return err
	}
	for _, name := range names {
		o := &Overlay{d: s.d, dir: filepath.Join(s.dir, "branches", name)}
		if err := o.refuseNewer(); errors.Is(err, ErrNewerFormat) {
			return err
		}
	}
	return nil
}

// refuseNewer reads the branch's journals to see whether every record is known.
func (o *Overlay) refuseNewer() error {
	seqs, err := o.layerSeqs()
	if err != nil {
		return err
	}
	errs := []error{checkResidueFormat(filepath.Join(o.dir, "residue.db"))}
	for _, seq := range seqs {
		errs = append(errs, o.journalKnown(journalName(o.dir, seq)))
	}
	return errors.Join(errs...)
}

func (o *Overlay) journalKnown(name string) error {
	f, err := o.d.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = replay(f, func(r record) error {
		if !r.Op.known() {
			return fmt.Errorf("unknown record %d: %w", r.Op, ErrNewerFormat)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
