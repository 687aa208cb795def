package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

var goldenShow = flag.Int("golden-show", 20, "how many differences TestGolden prints")

// departs lists the steps where this server answers otherwise on purpose. All
// of them are marked in the transcript as accidents of the reference.
var departs = map[int]string{
	725: rootFile,
	726: rootFile,
	727: rootFile,
}

const rootFile = "a file at the root path is refused: pachd takes it, and then nobody can read it"

// A step is one recorded call of a real pachd 2.11.6. Messages are proto JSON
// with placeholders: $C1 a commit, $F1 a file set, $T a time, $ID a made-up id.
type step struct {
	Step        int               `json:"step"`
	Group       string            `json:"group"`
	Note        string            `json:"note"`
	Method      string            `json:"method"`
	Kind        string            `json:"kind"`
	Compare     string            `json:"compare"`
	Quirk       bool              `json:"quirk"`
	Request     []any             `json:"request"`
	Responses   []any             `json:"responses"`
	Content     *digest           `json:"content"`
	Tar         []tarEntry        `json:"tar"`
	Code        string            `json:"code"`
	Message     string            `json:"message"`
	Bind        map[string]string `json:"bind"`
	TimeoutMs   int               `json:"timeout_ms"`
	CancelAfter int               `json:"cancel_after"`
}

type digest struct {
	SHA256 string `json:"sha256"`
	Length int    `json:"length"`
}

type tarEntry struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Size   int64  `json:"size"`
	Mode   int64  `json:"mode"`
	SHA256 string `json:"sha256,omitempty"`
}

// transcript reads the recorded calls: those that PACHFS_GOLDEN names, or ours.
func transcript(t testing.TB) []step {
	t.Helper()
	name := os.Getenv("PACHFS_GOLDEN")
	if name == "" {
		name = "testdata/transcript.jsonl"
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []step
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("%s, line %d: %v", name, len(out)+1, err)
		}
		out = append(out, s)
	}
	if err := lines.Err(); err != nil || len(out) == 0 {
		t.Fatalf("%s: %d steps, %v", name, len(out), err)
	}
	return out
}

// goldenServer is an embedded server, or the one that PACHFS_TEST_PACHD names.
func goldenServer(t *testing.T) *grpc.ClientConn {
	t.Helper()
	url := os.Getenv("PACHFS_TEST_PACHD")
	if url == "" {
		return start(t, t.TempDir(), Options{}).conn
	}
	conn, err := grpc.NewClient(strings.TrimPrefix(url, "grpc://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Call by call, this server answers what a real pachd answered: code, message
// and responses. The steps build on each other; all of them run.
func TestGolden(t *testing.T) {
	conn := goldenServer(t)
	g := &golden{bound: map[string]string{}, departs: departs}
	if os.Getenv("PACHFS_TEST_PACHD") != "" {
		g.departs = nil // it is a pachd itself
	}
	differ, compared := 0, 0
	for _, s := range transcript(t) {
		got, err := g.call(conn, s)
		if err != nil {
			t.Fatalf("step %d %s (%s): %v", s.Step, s.Method, s.Note, err)
		}
		if s.Compare == "skip" {
			continue
		}
		compared++
		diff := g.compare(s, got)
		why, listed := g.departs[s.Step]
		switch {
		case listed && diff == "":
			t.Errorf("step %d departs no more: %s", s.Step, why)
		case listed && !s.Quirk:
			t.Errorf("step %d is no accident of the reference: it can't be left out", s.Step)
		case diff != "" && !listed:
			if differ++; differ <= *goldenShow {
				t.Errorf("step %d, %s, %s (%s):\n%s", s.Step, s.Group, s.Method, s.Note, diff)
			}
		}
	}
	t.Logf("%d steps compared, %d differ, %d depart on purpose", compared, differ, len(g.departs))
	if differ > 0 {
		t.Fail()
	}
}

// call makes the call of a step and binds what it makes up.
func (g *golden) call(conn *grpc.ClientConn, s step) (*answer, error) {
	timeout := 90 * time.Second
	if s.TimeoutMs > 0 {
		timeout = time.Duration(s.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	m, err := methodOf(s.Method)
	if err != nil {
		return nil, err
	}
	var requests []any
	for _, r := range s.Request {
		requests = append(requests, g.fill(r))
	}
	a, err := m.do(ctx, cancel, conn, requests, s.CancelAfter)
	if err != nil {
		return nil, err
	}
	if g.departs[s.Step] != "" {
		return a, nil
	}
	return a, g.bind(s.Bind, a)
}
