// Package fs is the mounted tree as the kernel sees it: inode numbers, handle
// numbers, attributes and how long they hold, the control files, the errno
// table, and what the kernel must be made to forget. It knows no FUSE library;
// a shell (fs/bazil) unpacks a request, calls one method of [Tree], and packs
// the answer.
//
// # Inodes
//
// One table maps numbers to places. A place is a parent and a name, so that a
// renamed directory takes all below it along. A number is given at LOOKUP,
// MKDIR or CREATE, and lives until the kernel forgets it. A directory keeps
// its number as long as its path is a directory. A file whose committed bytes
// were changed by others is superseded: its attributes are invalidated, and
// from then on OPEN, GETATTR and SETATTR on the old number answer ESTALE, on
// which the kernel looks the path up again and finds a new number. Handles that are
// open keep the old one, with the old bytes. An entry is invalidated in one case
// only, a file that became a directory ([Notice]): it takes a lock in the kernel
// which a waiting LOOKUP holds, and can hang the machine.
//
// # Caching
//
// Entries and attributes hold for a long time: nothing changes behind the
// kernel's back without a notice ([Tree.Notices]). What does not exist holds for
// 250 ms where a head is followed, since that can't be taken back. Control
// files and links to ancestors hold for no time and get a new number at each LOOKUP.
//
// # Locks
//
// Tree.mu guards the table and the handles; it is a leaf and is not held while
// staging or the network is called.
package fs
