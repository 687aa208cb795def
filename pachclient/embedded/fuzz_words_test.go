package embedded

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/pfspb/pfs"
)

// A speaker makes up messages. Most of what they name exists, so that they get
// further than to the first check.
type speaker struct {
	*rand.Rand
	words map[string][]string // by the name of the field
	all   []string
}

// newSpeaker puts something into the store and learns what there is.
func newSpeaker(p *peer, r *rand.Rand) *speaker {
	w := &speaker{Rand: r, words: map[string][]string{
		"name":       {"r", "s", "master", "side", "out", "default", "other", "", "a b", fileSetRepo, strings.Repeat("n", 40_000)},
		"type":       {userRepo, userRepo, userRepo, "meta", "spec", "", "none"},
		"path":       {"/a", "/b", "/d/x", "/d/", "/e/f", "/d/y/z", "/a/b", "/", "/a", "/d/", "/d/x", "/d", "", "a", "../a", "/d//x", "/f\x01", "/ü", "/?", "/\\", "/" + strings.Repeat("l/", 9000)},
		"pattern":    {"/*", "/**", "/d/*", "/{a,d/x}", "/[a-", "/!(*!(*!(*a)))", "/@(a|d)", "/\\", "(", "", "/a", strings.Repeat("/*", 5000)},
		"datum":      {"", "", "", "default", "t1", "t\x00u"},
		"ttl":        {"1"},
		"branch":     {"", "master", "side", "none"},
		"cron_spec":  {"@hourly", ""},
		"key":        {"k", "", "l"},
		"error":      {"", "", "it failed"},
		"file_path":  {"/a", "/d/x", "a", ""},
		"lower":      {"", "/a", "/d/"},
		"upper":      {"", "/a", "/d/x"},
		"url":        {"", "", "", "", "", "", "http://127.0.0.1:1/x"},
		"URL":        {"", "", "", "", "", "", "http://127.0.0.1:1/x"},
		"id":         {"", "master", "master^", "^2", ".1", "master.-9223372036854775808", "^~", newID()},
		"fileset_id": {"", newID()},
	}}
	for _, name := range []string{"default", "other"} {
		p.CreateProject(p.ctx, &pfs.CreateProjectRequest{Project: &pfs.Project{Name: name}})
	}
	for _, name := range []string{"r", "s", "out"} {
		p.CreateRepo(p.ctx, &pfs.CreateRepoRequest{Repo: repoRef(name)})
		p.modifyErr(head(name, "master"), add("/a", "1"), add("/d/x", "2"), add("/d/y/z", strings.Repeat("3", 4000)))
		p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef(name, "side")})
		infos, _ := all(p.ListCommit(p.ctx, &pfs.ListCommitRequest{Repo: repoRef(name), Number: 20}))
		for _, i := range infos {
			w.words["id"] = append(w.words["id"], i.Commit.Id)
		}
	}
	p.CreateBranch(p.ctx, &pfs.CreateBranchRequest{Branch: branchRef("out", "side"), Provenance: []*pfs.Branch{branchRef("r", "master")}})
	for range 3 {
		set := p.fileSet(add("/a", "4"), del("/d/x"), add("/n", strings.Repeat("5", r.IntN(5000))))
		w.words["id"], w.words["fileset_id"] = append(w.words["id"], set), append(w.words["fileset_id"], set)
	}
	for _, field := range []string{"file_set_id", "file_set_ids", "fileset_ids"} {
		w.words[field] = w.words["fileset_id"]
	}
	for _, key := range []string{"name", "type", "path", "pattern", "id", "fileset_id"} {
		w.all = append(w.all, w.words[key]...)
	}
	return w
}

func pick[T any](w *speaker, from []T) T { return from[w.IntN(len(from))] }

// text gives a string for a field.
func (w *speaker) text(field string) string {
	own, n := w.words[field], w.IntN(20)
	switch {
	case n < 16 && len(own) > 0:
		return pick(w, own)
	case n < 19:
		return pick(w, w.all)
	}
	return strings.ToValidUTF8(string(w.bytes(30)), "?")
}

func (w *speaker) bytes(most int) []byte {
	b := make([]byte, w.IntN(most+1))
	for i := range b {
		b[i] = byte(w.Uint32())
	}
	return b
}

// requests makes up the messages of one call.
func (w *speaker) requests(m method) [][]byte {
	n := 1
	if m.stream.ClientStreams {
		n = w.IntN(5)
	}
	var all [][]byte
	for i := range n {
		msg := m.in.New()
		w.fill(msg, 0)
		if req, ok := msg.Interface().(*pfs.ModifyFileRequest); ok && i == 0 && m.stream.StreamName == "ModifyFile" && w.IntN(10) > 0 {
			c := &pfs.Commit{}
			w.fill(c.ProtoReflect(), 0)
			req.Body = &pfs.ModifyFileRequest_SetCommit{SetCommit: c}
		}
		b, err := proto.Marshal(msg.Interface())
		if err != nil {
			panic(fmt.Sprint(m.name, ": ", err))
		}
		all = append(all, b)
	}
	return all
}

// good gives messages that name what exists.
func (w *speaker) good(name protoreflect.FullName) proto.Message {
	repo := repoRef(pick(w, []string{"r", "r", "s", "out"}))
	path := pick(w, w.words["path"][:7+w.IntN(2)*(len(w.words["path"])-7)])
	branch := &pfs.Branch{Repo: repo, Name: pick(w, []string{"master", "master", "side"})}
	commit := pick(w, []*pfs.Commit{
		{Repo: repo, Branch: branch}, {Repo: repo, Branch: branch}, {Branch: branch, Id: "^"}, {Repo: repo, Id: w.text("id")},
		{Repo: &pfs.Repo{Name: fileSetRepo}, Id: pick(w, w.words["fileset_id"])}})
	switch name {
	case "pfs_v2.Repo":
		return repo
	case "pfs_v2.Branch":
		return branch
	case "pfs_v2.Commit":
		return commit
	case "pfs_v2.File":
		return &pfs.File{Commit: commit, Path: path}
	}
	return (*emptypb.Empty)(nil)
}

const deep = 8

// fill gives random values to fields.
func (w *speaker) fill(m protoreflect.Message, depth int) {
	if good := w.good(m.Descriptor().FullName()); good.ProtoReflect().IsValid() && w.IntN(10) < 8 {
		proto.Merge(m.Interface(), good)
		return
	}
	fields := m.Descriptor().Fields()
	chosen := make(map[protoreflect.Name]int)
	for i := range fields.Len() {
		f := fields.Get(i)
		if o := f.ContainingOneof(); o != nil {
			if _, ok := chosen[o.Name()]; !ok {
				chosen[o.Name()] = w.IntN(o.Fields().Len() + 1)
			}
			if at := chosen[o.Name()]; at == o.Fields().Len() || o.Fields().Get(at) != f {
				continue
			}
		} else if w.IntN(10) < 2 {
			continue
		}
		if f.Message() != nil && depth >= deep {
			continue
		}
		w.field(m, f, depth)
	}
}

func (w *speaker) field(m protoreflect.Message, f protoreflect.FieldDescriptor, depth int) {
	switch {
	case f.IsMap():
		for range w.IntN(3) {
			v := m.Mutable(f).Map().NewValue()
			if f.MapValue().Message() == nil {
				v = w.scalar(f.MapValue())
			}
			m.Mutable(f).Map().Set(w.scalar(f.MapKey()).MapKey(), v)
		}
	case f.IsList():
		for range w.IntN(4) {
			if f.Message() != nil {
				w.fill(m.Mutable(f).List().AppendMutable().Message(), depth+1)
			} else {
				m.Mutable(f).List().Append(w.scalar(f))
			}
		}
	case f.Message() != nil:
		w.fill(m.Mutable(f).Message(), depth+1)
	default:
		m.Set(f, w.scalar(f))
	}
}

func (w *speaker) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	n := pick(w, []int64{0, 0, 1, 2, 3, 100, -1, math.MaxInt64, math.MinInt64, int64(w.Uint64())})
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(w.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(w.IntN(7) - 1))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(w.text(string(f.Name())))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(w.bytes(pick(w, []int{0, 10, 3000, 100_000})))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.NaN())
	}
	return protoreflect.ValueOfInt64(n)
}
