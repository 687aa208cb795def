package embedded

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

// fatalCalls are the calls that write.
var fatalCalls = map[string]fatalCall{
	"ModifyFile": {
		call:  func(v *victim) error { return v.modifyErr(head("r", "master"), generation(v.i)...) },
		after: func(v *victim, answered bool) { v.wantOn(head("r", "master"), answered) },
	},
	"ModifyFile of a file set": {
		prepare: func(v *victim) { v.set = v.fileSet(generation(v.i)...) },
		call:    func(v *victim) error { return v.modifyErr(head("r", "master"), cp("/", setRef(v.set), "/")) },
		after: func(v *victim, answered bool) {
			v.wantOn(head("r", "master"), answered)
			v.wantGeneration(setRef(v.set), v.i)
		},
	},
	"ModifyFile into an open commit": {
		prepare: func(v *victim) { v.commit = v.open("r", "master") },
		call:    func(v *victim) error { return v.modifyErr(v.commit, generation(v.i)...) },
		after:   (*victim).wantInOpen,
	},
	"CreateFileSet": {
		call: func(v *victim) error {
			v.set = ""
			stream, err := v.CreateFileSet(v.ctx)
			resp, err := send[pfs.CreateFileSetResponse](stream, err, generation(v.i))
			v.set = resp.GetFileSetId()
			return err
		},
		after: func(v *victim, answered bool) {
			if answered {
				v.wantGeneration(setRef(v.set), v.i)
			}
			for _, id := range v.fileSets() {
				v.generationOf(setRef(id))
			}
			v.wantGeneration(head("r", "master"), 0)
		},
	},
	"AddFileSet": {
		prepare: func(v *victim) { v.commit, v.set = v.open("r", "master"), v.fileSet(generation(v.i)...) },
		call: func(v *victim) error {
			_, err := v.AddFileSet(v.ctx, &pfs.AddFileSetRequest{Commit: v.commit, FileSetId: v.set})
			return err
		},
		after: func(v *victim, answered bool) {
			v.wantGeneration(setRef(v.set), v.i)
			v.wantInOpen(answered)
		},
	},
	"FinishCommit": {
		prepare: func(v *victim) {
			v.commit = v.open("r", "master")
			v.modify(v.commit, generation(v.i)...)
		},
		call: func(v *victim) error {
			_, err := v.FinishCommit(v.ctx, &pfs.FinishCommitRequest{Commit: v.commit, Description: fmt.Sprint(v.i)})
			return err
		},
		after: func(v *victim, answered bool) {
			v.wantGeneration(v.commit, v.i)
			info := v.inspect(v.commit, 0)
			if info.Finishing == nil && !answered {
				v.finish(v.commit, "")
				return
			}
			if info.Finished == nil || info.Error != "" || info.Description != fmt.Sprint(v.i) {
				v.t.Errorf("answered %v: %v", answered, info)
			}
			v.fails(v.modifyErr(v.commit, add("/late", "x")), codes.Unknown, "has already finished")
		},
	},
}

func (v *victim) wantGeneration(c *pfs.Commit, want int) {
	v.t.Helper()
	if got := v.generationOf(c); got != want {
		v.t.Errorf("%v holds generation %d, want %d", c, got, want)
	}
}

// wantOn wants that a commit holds the new generation, or without an answer
// perhaps the one before.
func (v *victim) wantOn(c *pfs.Commit, answered bool) {
	v.t.Helper()
	if got := v.generationOf(c); got != v.i && (answered || got != v.was) {
		v.t.Errorf("answered %v: it holds generation %d, want %d", answered, got, v.i)
	}
}

// wantInOpen wants that of an open commit, which is then finished.
func (v *victim) wantInOpen(answered bool) {
	v.t.Helper()
	if info := v.inspect(v.commit, 0); info.Finishing != nil {
		v.t.Errorf("%v", info)
	}
	v.wantOn(v.commit, answered)
	v.finish(v.commit, "")
}

func (p *peer) fileSets() (ids []string) {
	p.t.Helper()
	p.ok(p.s.view(func(t *tx) error {
		return t.scan(bucketFileSets, "", func(id string, _ []byte) error {
			ids = append(ids, id)
			return nil
		})
	}))
	return ids
}

// generationOf says which generation a commit holds: all of it, and nothing
// else.
func (p *peer) generationOf(c *pfs.Commit) (i int) {
	p.t.Helper()
	if _, err := fmt.Sscan(p.get(c, "/big")[:8], &i); err != nil {
		p.t.Fatal(err)
	}
	var want []string
	for _, o := range generation(i) {
		if f := o.GetAddFile(); f != nil {
			want = append(want, f.Path+"="+string(f.GetRaw().GetValue()))
		}
	}
	got := p.tree(c)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		p.t.Fatalf("%v has %d files, want the %d of generation %d and nothing of another", c, len(got), len(want), i)
	}
	return i
}
