// Package pachclient holds the words of a Pachyderm and the contracts for
// reaching one. It imports the standard library only; everything above it is
// written in these words.
//
//   - A [Repo] belongs to a project and has branches. A [Branch] names a line
//     of commits; its head is the newest.
//   - A [Commit] is an immutable tree of files once it is finished. A commit
//     that finished with an error stays in the line, but its data is skipped
//     by all its descendants.
//   - A [FileSet] is a change that was uploaded and belongs to no commit yet.
//     It is readable as a commit of the repo [FileSetRepo], and it expires.
//
// The rooms of this folder are everything that speaks Pachyderm:
//
//	remote      a Pachyderm over gRPC
//	embedded    a Pachyderm in this process, serving the same gRPC API
//	            (embedded/asversion: one that answers as an older pachd, for tests)
//	cache       a Client that remembers what it read
//	names       a Client that stores the names that Pachyderm refuses, encoded
//	clienttest  the conformance suite that every Client passes, and a Client
//	            that fails on request
//	pfspb       the generated messages
//	internal/wire  words to protobuf and back
package pachclient
