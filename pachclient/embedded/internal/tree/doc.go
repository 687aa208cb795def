// Package tree keeps directory trees that never change and share what they
// have in common, in numbered nodes of a few kilobytes.
//
// A directory is a B+ tree of entries, sorted by key. The key of a file is its
// name, that of a directory its name and a slash (which is the order in which
// Pachyderm lists them). A file that was written with a datum of its own has
// the key name, NUL, datum. A key of several elements, "a/b/c", walks down the
// directories; all keys of a tree in byte order are its files in path order.
//
// A change makes new nodes from the changed ones up to the root, and leaves all
// others alone: it costs what it changes, and a tree is a number.
//
// A node is
//
//	leaf   0, then entries: key, flags, then of a
//	         directory  root, files, size
//	         file       size, hash, chunks; of each chunk its hash (unless
//	                    it is the only one), length, blob, offset
//	inner  1, then children: first key, node, files, size
//
// and CRC-32C at the end. Numbers are varints. A key is stored as the length it
// shares with the key before it and the rest.
package tree
