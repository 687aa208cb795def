//go:build bench

package bench

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pachfs/test/harness"
)

var (
	rowsFlag = flag.String("rows", "", "which rows to run, as 1,6; all by default")
	runsFlag = flag.Int("runs", 5, "how often each is measured")
	outFlag  = flag.String("out", "", "the file that gets the table; none: the terminal alone")
)

// A row is one line of the table, or several.
type row struct {
	n    int
	name string
	want string // what is to be reached
	run  func(*env)
}

var rows = []row{
	{1, "first 4 KiB of a file of 512 MiB, cold", "raw + 2 ms", (*env).firstByte},
	{2, "512 MiB in order, cold", "1.10 × raw", (*env).sequential},
	{5, "64 reads of 256 KiB anywhere in it, cold", "1.25 × raw", (*env).random},
	{6, "`ls -lR` of 50,000 files, cold", "1.1 × (raw + shell)", (*env).listMany},
	{8, "500 files of 50 kB in the order of their names, cold", "1.2 × raw GetFileTAR", (*env).smallInOrder},
	{9, "10,000 files of 1.2 kB: create, rename, unlink", "1.5 × shell", (*env).createMany},
	{10, "write 1 GiB; fsync of 4 KiB", "1.4 × shell; disk + 1 ms", (*env).writes},
	{11, "land 10,000 files; land 512 MiB; land a renamed directory of 10,000", "1.0 × raw put; 1.1 ×; no content", (*env).lands},
	{12, "what a writer waits while 512 MiB land", "p99 20 ms", (*env).stall},
	{13, "`touch .commit` with one small file", "raw + 20 ms", (*env).touch},
	{14, "mount to the first `ls`", "300 ms", (*env).mountToLs},
	{17, "mount with 100,000 files staged, to the first `ls`", "2 s", (*env).mountStaged},
}

// An env is what the rows share.
type env struct {
	*testing.T
	row   row
	s     *harness.Server
	lines []string
	data  map[string]bool // the repos that are filled
}

func TestRows(t *testing.T) {
	e := &env{T: t, s: harness.Serve(t, "--like-pachd"), data: map[string]bool{}}
	asked := strings.FieldsFunc(*rowsFlag, func(r rune) bool { return r == ',' })
	for _, r := range rows {
		if len(asked) == 0 || slices.Contains(asked, strconv.Itoa(r.n)) {
			e.row = r
			t.Logf("row %d: %s", r.n, r.name)
			r.run(e)
		}
	}
	if len(e.lines) == 0 {
		t.Fatalf("-rows %s names no row", *rowsFlag)
	}
	text := e.text()
	fmt.Println(text)
	if *outFlag != "" {
		e.must(os.WriteFile(*outFlag, []byte(text), 0o644))
	}
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// A sample is how long something took, run by run.
type sample []time.Duration

func (s sample) sorted() sample        { return slices.Sorted(slices.Values(s)) }
func (s sample) median() time.Duration { return s.sorted()[len(s)/2] }

func (s sample) String() string {
	t := s.sorted()
	return fmt.Sprintf("%s (%s–%s)", short(t[len(t)/2]), short(t[0]), short(t[len(t)-1]))
}

// short rounds to three digits.
func short(d time.Duration) string {
	for unit := time.Nanosecond; ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
}

// A measured is a work and its time; the first of a row is ours.
type measured struct {
	name string
	once func() time.Duration
}

// compare runs all in turn, and adds a line for ours against each floor.
func (e *env) compare(what string, ours measured, floors ...measured) {
	e.Helper()
	all := append([]measured{ours}, floors...)
	took := make([]sample, len(all))
	for range *runsFlag {
		for i, m := range all {
			took[i] = append(took[i], m.once())
		}
	}
	if len(floors) == 0 {
		e.line(what, took[0].String(), "", "")
	}
	for i, f := range floors {
		mine, floor := took[0].median(), took[i+1].median()
		e.line(what, took[0].String(), f.name+" "+took[i+1].String(), fmt.Sprintf("%.2f × (%+d ms)", float64(mine)/float64(floor), (mine-floor).Milliseconds()))
	}
}

func (e *env) line(what, ours, floor, ratio string) {
	l := fmt.Sprintf("| %d | %s | %s | %s | %s | %s |", e.row.n, what, ours, floor, ratio, e.row.want)
	e.Log(l)
	e.lines = append(e.lines, l)
}

func timed(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}

// text is docs/BENCHMARKS.md.
func (e *env) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmarks

Written by `+"`make bench`"+` (test/bench) on %s: %s. Medians of %d runs, and the
spread. Ours and its floor are measured in turn in the same run; a shared machine
is slow for both, so look at the ratio first. **raw** is the same calls by a bare
gRPC client, **disk** the same work on the file system under the state directory.
The server is %s.

| # | work | pachfs | floor | ratio | to reach |
| --- | --- | --- | --- | --- | --- |
%s
`, time.Now().Format(time.DateOnly), machine(), *runsFlag, server(), strings.Join(e.lines, "\n"))
	return b.String()
}

func server() string {
	if os.Getenv("PACHFS_TEST_PACHD") != "" {
		return "the pachd of PACHFS_TEST_PACHD"
	}
	return "`pachfs serve --like-pachd` in another process, over TCP"
}
