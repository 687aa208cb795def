package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pachfs/cmd/internal/sample"
)

// A teller plays the story: it prints each step, runs it as a user would, and
// stops at the first that does not go as told.
type teller struct {
	setting
	step int
	err  error
}

// play is make demo.
func play(s setting) error {
	dir, err := os.MkdirTemp("", "pachfs-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.dir, s.mnt = dir, filepath.Join(dir, "mnt")
	if err := errors.Join(os.Mkdir(s.mnt, 0o755), s.seed()); err != nil {
		return err
	}
	if s.bin, err = filepath.Abs(s.bin); err != nil {
		return err
	}
	t := &teller{setting: s}
	t.tell()
	if t.err != nil { // leave nothing mounted
		exec.Command("fusermount3", "-uz", s.mnt).Run()
	}
	return t.err
}

func (t *teller) tell() {
	t.sh("mount it, in the background", t.bin+" mount --daemon "+strings.Join(quote(t.mountArgs()[1:]), " "))
	t.sh("every branch is a directory", "ls")
	t.sh("its files stream in as they are read", "ls -l images@master && file images@master/liberty.png 2>/dev/null || true")
	t.check("the bytes are those that were put", t.sameImage)
	t.sh("three processes write an annotation each", `for i in 1 2 3; do sh -c "printf '{\"image\": $i, \"label\": \"%01000d\"}' $i > labels@master/$i.json" & done; wait; ls -l labels@master`)
	t.sh("they are staged; the branch has not moved", "cat labels@master/.status labels@master/.diff")
	t.expect("that is three files", "grep -c '^+' labels@master/.diff", "3")
	t.sh("touch lands them as one commit, and returns when it is finished", "touch labels@master/.commit && cat labels@master/.commit")
	t.expect("a second touch has nothing to land", `a=$(cat labels@master/.commit); touch labels@master/.commit; [ "$a" = "$(cat labels@master/.commit)" ] && echo same`, "same")
	t.sh("one rewritten, one deleted, one renamed, one new", `cd labels@master && echo better > 1.json && rm 2.json && mv 3.json three.json && echo new > 4.json && cat .diff`)
	t.sh("the text written to .commit is the message", `echo "second thoughts" > labels@master/.commit; `+t.bin+" log labels@master")
	t.expect("the commit before is still there", `ls 'labels@master^' | tr '\n' ' '`, "1.json 2.json 3.json")
	t.expect("and the new one holds just what was changed", `ls labels@master | tr '\n' ' '`, "1.json 4.json three.json")
	t.sh("what is still staged lands on unmount", `echo last > labels@master/last.json; cd / && `+t.bin+" umount "+t.mnt)
	t.sh("mounted again, it is there", t.bin+" mount --daemon "+strings.Join(quote(t.mountArgs()[1:]), " ")+" && cat "+t.mnt+"/labels@master/last.json && "+t.bin+" umount "+t.mnt)
	if t.err == nil {
		fmt.Printf("\nThat was the story: %d steps, each as told.\n", t.step)
	}
}

func quote(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = "'" + a + "'"
	}
	return out
}

// sh runs a step in the mount and shows what it prints.
func (t *teller) sh(what, script string) string {
	if t.err != nil {
		return ""
	}
	t.step++
	fmt.Printf("\n%2d. %s\n    $ %s\n", t.step, what, strings.ReplaceAll(script, t.dir, "…"))
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = t.mnt
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("    ", strings.ReplaceAll(line, t.dir, "…"))
	}
	if err != nil {
		t.err = fmt.Errorf("step %d: %w", t.step, err)
	}
	return strings.TrimSpace(string(out))
}

func (t *teller) expect(what, script, want string) {
	if got := t.sh(what, script); t.err == nil && got != want {
		t.err = fmt.Errorf("step %d gave %q, not %q", t.step, got, want)
	}
}

func (t *teller) check(what string, fn func() error) {
	if t.err != nil {
		return
	}
	t.step++
	fmt.Printf("\n%2d. %s\n", t.step, what)
	if err := fn(); err != nil {
		t.err = fmt.Errorf("step %d: %w", t.step, err)
	}
}

func (t *teller) sameImage() error {
	files, err := sample.Files()
	if err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(t.mnt, "images@master", "liberty.png"))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, files["liberty.png"]) {
		return errors.New("liberty.png reads back differently")
	}
	fmt.Printf("    liberty.png: %d bytes, equal\n", len(got))
	return nil
}
