package staging

// Points are the moments between two steps at which a kill must lose nothing
// and double nothing. In a build with the tag faults the environment names one
// at which the process kills itself (point_faults.go); test/points_test.go does
// that at each.
var Points = []string{
	// A write, a close, an fsync.
	"append",    // a journal is about to take records
	"appended",  // it has them
	"journaled", // they are on disk
	"content",   // a content file was made
	"written",   // bytes are in it, and no record of them yet
	"settled",   // a closed or synced file is what the next commit takes
	"flushed",   // a descriptor was closed
	"contents",  // contents are on disk, and nobody vouches for them yet
	"synced",    // the journal does
	"doomed",    // the journals don't speak of a content any more
	"swept",     // it is gone

	// Sealing.
	"layer",     // the journal of a new layer was made
	"sealed",    // the layer below is sealed, and the new one doesn't say what it took over
	"carried",   // it does
	"took-over", // that is on disk
	"durable",   // all that is sealed is on disk

	// Landing.
	"upload",    // about to upload
	"uploading", // some bytes have gone
	"set",       // the server has the file set
	"hashes",    // and has told its hashes
	"uploaded",  // the journal knows
	"checked",   // nobody is in the way
	"landing",   // the journal knows that the change is about to be sent
	"answered",  // it was sent, and answered
	"found",     // the commit was found
	"residue",   // the residue has the new base
	"pinned",    // conflicts above it are said
	"landed",    // the journal knows the commit
	"swapped",   // readers see the commit
	"dropped",   // the journal of a landed layer is gone
	"logged",    // the log has the commit
	"annotated", // the commit has its message

	// A start on what was left.
	"replayed", // the journals were read
	"opened",   // the branch can be used

	// The end of a mount.
	"unmounting",
	"unmounted",   // and nothing has landed
	"closing",     // all has landed
	"overlays",    // the branches are closed
	"stage-ended", // the state directory is somebody else's
}
