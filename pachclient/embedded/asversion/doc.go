// Package asversion lets an embedded server answer as a pachd of an earlier
// version would, for tests of clients that must speak to all of them.
//
// A [Server] stands before the embedded one and passes every call through it.
// What a version does not know is taken from since.txt, which has a line for
// every call and field, with the releases whose .proto files have it: a call that
// a version does not have is Unimplemented, a field that it does not have is
// skipped in requests and is missing in answers. Where versions differ in what they do, and a client of
// files and commits can tell, [Server] does as they did:
//
//   - before 2.11 answers name the branch of a commit, and a ModifyFile on a
//     commit without a branch brings the whole pachd down;
//   - before 2.6 a commit is found under its branch only, and a reference needs
//     a branch with a repo;
//   - before 2.2 a copy of "/" copies nothing, and says nothing, and an error
//     about a missing branch has the code Unknown.
//
// Left out is what a client of ours never meets: commits with one ID on several
// branches (before 2.6), the older texts of errors, markers of pages that are
// part of their page (before 2.7), and subscriptions that go on when a commit is
// dropped (before 2.11).
package asversion
