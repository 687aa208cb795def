// Package staging is the writable filesystem: a committed tree below, layers
// of local changes above, kept on the local disk so that neither a kill nor a
// power cut loses what was acknowledged. It knows neither FUSE nor gRPC.
//
// # The parts
//
// A [Stage] is the state directory of a mount. An [Overlay] is one branch: a
// base (a finished commit), and layers on top of it. Only the top layer takes
// changes; those below are sealed and on their way into Pachyderm. A layer is
// a tree of nodes, which says for some paths what is there (a file, a
// directory, nothing), and shows what is below for all others. A directory
// that was renamed is one node that shows another directory of the tree below.
//
// A [File] is a living file, shared by its handles. What it reads as is an
// image: pieces that stand in local content files, the file below where there
// is no piece. There are two images of each: what readers see, and what the
// next commit takes (stable), which is what the file was at its last close or
// sync. A write never goes to bytes that a stable image needs; it goes to
// another content file. An open file keeps a pin on what it stands on: it reads
// the same when the layer below lands and goes.
//
// # On disk
//
//	STATE/format                  "pachfs-state 1"; the versions are in format.go
//	STATE/lock                    flock, with the holder's pid; shared while somebody looks (inspect.go)
//	STATE/mountpoint              where it was mounted last (cmd/pachfs)
//	STATE/reserve                 zeros: room that a full disk leaves for commits (reserve.go)
//	STATE/branches/PROJECT+REPO@BRANCH/
//	    branch.json               whose changes these are: deployment, project, repo, branch
//	    layer-NNNNNNNN            the journal of a layer; the highest number is the top
//	    content/XX/ID             sparse content files, by number (hex; XX its last byte)
//	    residue.db                bbolt: empty directories, times, the base (residue.go)
//	    log                       one JSON object a commit that was made here
//
// A journal is "pachfs-journal 2\n" and then records: length (4 bytes, little
// endian), CRC-32C of the bytes that follow (4 bytes), an op (1 byte; record.go
// lists them), fields as tag, varint (and bytes, for strings). A torn tail is
// what a crash leaves, and is cut. A record with a field or an op that is not
// known was written by a newer pachfs: the directory is refused untouched
// (format.go). An older version opens.
//
// # Invariants
//
//   - A record refers only to a content file that exists: the file is made first,
//     and removed after a sync of the journals that no longer speak of it.
//   - A record of an extent is written after its bytes.
//   - `synced` is written after the file's bytes were synced.
//   - A record about a file's bytes is in the journal of the layer that holds
//     the file; in a sealed one it stands before `sealed`, but for `synced`.
//   - A sealed layer does not change, but for what its journal says about landing,
//     and for discards while it is not being landed.
//   - `sealed` counts where the journal above has `carried`, which stands there
//     behind all that was open; `landing` is on disk
//     before the change is sent; `landed` before the layer is removed.
//   - A replayed journal gives the tree that was acknowledged last, or a later one.
//
// After a kill every record and byte is with the operating system, and counts.
// After a power cut (the boot id differs) structure counts as far as the journal
// goes, and each file's bytes as of its last `synced`; what lies beyond falls
// back to the older bytes.
//
// # Locks
//
// The landing token of an Overlay, then Overlay.mu, then File.mu, then the
// journal's and a content's. None is held across the network or a callback;
// only the token is held through a commit.
package staging
