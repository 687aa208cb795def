// Package bazil is the FUSE shell on bazil.org/fuse: it mounts and unmounts,
// unpacks a request, calls one method of fs.Tree, and packs the answer. It is the
// only importer of the library, and holds nothing that a test without a kernel
// would want to call.
//
// It serves fuse.Conn itself. A few goroutines read requests; what cannot wait
// is answered on the spot, everything else gets a goroutine of its own, so that one
// is always reading: the kernel must be able to interrupt, and to ask for
// something else, while a request waits for the network or for a commit.
//
// An interrupt ends a wait for a commit at once, and the commit goes on. Any
// other request is given up only when SIGKILL is pending for its thread:
// answering EINTR to a stat breaks programs that were merely signalled.
package bazil
