// Package cache is a Client that remembers what it read. Listings are kept in
// memory by commit, contents on disk by hash, and nothing that failed is kept.
//
// Three parts, each with a file or more:
//
//	dirs, listing      what a directory of a finished commit holds; one
//	                   ListFile answers every stat and lookup in it
//	contents, stream   calls to the server that are under way, what of them
//	                   has arrived, and which call a read should share or start
//	disk, chunkfile    chunks of 1 MiB, verified when read, under a cap
//
// # What is kept where
//
// A finished commit never changes, so a listing is right for ever; a Diff to a
// later commit takes what is known of the earlier one along (derive.go). A commit
// that turns out to have no time of finishing is open, or a file set: nothing
// of it is kept. Contents are keyed by FileInfo.Hash and size alone, so a file
// is fetched once however many commits, branches and repos hold it. Files of
// unknown hash go straight through.
//
// # Memory
//
// Options.MemoryBytes is divided once: a half belongs to streams, a quarter is
// the most that the index of the disk may need, and listings get whatever the
// two leave at the moment, at least a quarter. The stream half decides how
// many streams may be open, so a reader never waits for memory that another
// reader holds on to.
//
// # On disk
//
//	DIR/chunks-1/SS/HASH.INDEX    one chunk
//	DIR/chunks-1/SS/tmp-*         one that is being written
//
// HASH is the first half of the file's content hash in hex, INDEX the number of
// the chunk in hex, SS the last byte of HASH xor the last byte of the index, so
// that big files spread over all 256 shards. All numbers are little-endian:
//
//	offset  size
//	     0     8  "pachfs1\n"
//	     8    32  content hash of the whole file
//	    40     8  number of the chunk
//	    48     4  length of the chunk, at most 1 MiB
//	    52    64  CRC-32C of each 64 KiB of it, 0 where there is none
//	   116     4  CRC-32C of the 116 bytes above
//	   120     -  the bytes of the chunk
//
// A chunk is written to a temporary name and renamed, without fsync: what a
// power cut leaves behind is caught by its checksums, and costs a fetch. A
// file that is short, damaged or not what its name says is removed. Of files
// with other names nothing is touched. The time of modification says when a
// chunk was last used, to within ten minutes; eviction goes by it after a
// restart.
//
// Processes may share a directory. A file is complete as soon as it has its
// name, and open files outlive removal, so neither sees half of what the other
// does. Each looks once a minute, if it stores at all, for what the others
// added, and counts it against its own cap.
package cache
