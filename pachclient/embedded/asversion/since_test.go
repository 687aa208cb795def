package asversion

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "pachfs/pachclient/pfspb/auth"
	_ "pachfs/pachclient/pfspb/metadata"
)

// A call or a field that was added to the messages must get its versions: what
// is not in the table counts as known to all.
func TestTheTableIsComplete(t *testing.T) {
	want := func(name protoreflect.FullName) {
		if _, ok := sinces()[string(name)]; !ok {
			t.Errorf("%s is not in since.txt (add it, with the releases that have it)", name)
		}
	}
	var messages func(protoreflect.MessageDescriptors)
	messages = func(ms protoreflect.MessageDescriptors) {
		for i := range ms.Len() {
			if ms.Get(i).IsMapEntry() {
				continue
			}
			for j := range ms.Get(i).Fields().Len() {
				want(ms.Get(i).Fields().Get(j).FullName())
			}
			messages(ms.Get(i).Messages())
		}
	}
	files := 0
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		switch f.Package() {
		case "pfs_v2", "admin_v2", "auth_v2", "versionpb_v2", "metadata":
		default:
			return true
		}
		files++
		for i := range f.Services().Len() {
			for j := range f.Services().Get(i).Methods().Len() {
				m := f.Services().Get(i).Methods().Get(j)
				want(m.Parent().FullName() + "/" + protoreflect.FullName(m.Name()))
			}
		}
		if f.Package() != "metadata" { // its messages are as old as its one call
			messages(f.Messages())
		}
		return true
	})
	if files < 5 {
		t.Errorf("only %d files looked at", files)
	}
}

func TestKnows(t *testing.T) {
	for _, c := range []struct {
		release, name string
		want          bool
	}{
		{"2.1.9", "pfs_v2.Commit.id", true}, {"2.1.9", "pfs_v2.Commit.repo", false}, {"2.5.9", "pfs_v2.Commit.repo", false},
		{"2.6.0", "pfs_v2.Commit.repo", true}, {"2.11.6", "pfs_v2.Commit.repo", true},
		{"2.5.7", "pfs_v2.API/DropCommit", false}, {"2.5.8", "pfs_v2.API/DropCommit", true}, {"2.5.9", "pfs_v2.API/DropCommit", true},
		{"2.6.0", "pfs_v2.API/DropCommit", false}, {"2.7.8", "pfs_v2.API/DropCommit", false}, {"2.8.0", "pfs_v2.API/DropCommit", true},
		{"2.9.9", "metadata.API/EditMetadata", false}, {"2.10.0", "metadata.API/EditMetadata", true},
		{"2.1.9", "google.protobuf.BytesValue.value", true},
	} {
		v, err := parseVersion(c.release)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.knows(c.name); got != c.want {
			t.Errorf("%s knows %s: %v", c.release, c.name, got)
		}
	}
	if _, err := parseVersion("newest"); err == nil {
		t.Error("a release without numbers is taken")
	}
}
