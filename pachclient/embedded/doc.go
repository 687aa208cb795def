// Package embedded is a Pachyderm in one process on one directory. It serves
// the gRPC API of pachd 2.11 as far as a mount, pachctl's file commands and
// the tests of this project need it: the default without a cluster, and the
// server that tests run against. What docs of Pachyderm call a cluster is a
// [Server] here.
//
// # On disk
//
//	DIR/lock     held with flock(2) while a server is open; has its pid
//	DIR/meta.db  a bbolt database: names, commits, file sets, tree nodes
//	DIR/blobs/   file contents, see package content
//
// The database has these buckets. Records are JSON (see records.go), numbers
// are big endian.
//
//	meta        "format", "deployment", "cluster", "clean", "linked"
//	projects    NAME -> project
//	repos       PROJECT/NAME.TYPE -> repo
//	branches    PROJECT/NAME.TYPE@BRANCH -> branch
//	commits     PROJECT/NAME.TYPE@ID -> commit
//	order       PROJECT/NAME.TYPE@number -> ID, the commits of a repo as they came
//	sets        ID@PROJECT/NAME.TYPE -> nothing, the commits of a commit set
//	filesets    ID -> file set
//	pending     key of a commit that is finishing -> nothing
//	nodes       number -> tree node, see package tree
//
// # Invariants
//
// Content is on disk before the transaction that refers to it; one RPC changes
// the database in one transaction; a transaction is synced before its RPC is
// answered. So a commit that was answered is there after a power cut, and one
// that was not is there whole or not at all. Blobs and nodes never change.
// Those that nothing refers to any more (they belonged to an upload that
// failed or replaced its own, a set that expired, a commit that was dropped or
// written again) stay until a collection, which runs only while no RPC reads or
// writes files, and within a minute after something may have been left.
// [Server.Check] verifies all of it.
//
// # What is not like pachd
//
//   - A commit is compacted and validated in the transaction that ends it: its
//     content and its error are known at once, and it is finishing only for as
//     long as [Options.FinishDelay] says.
//   - The same bytes always have the same hash. In pachd a file of a megabyte
//     and more that grew by appends can have another.
//   - A ModifyFile that ends after its commit has finished fails; in pachd it
//     destroys the commit.
//   - The root can't be added as a file, and a path has at most 16 KiB.
//   - A provenance makes a branch an output branch, but no commits in it.
//   - Files come from http and https URLs, not from those of object stores.
//   - There are no pipelines and no transactions: a call that should become
//     part of one is refused. Their services, egress, the caches, fsck and the
//     walks over provenance answer Unimplemented.
//
// The change set of a stream (not its bytes) is held in memory, some 300 bytes
// a path.
package embedded
