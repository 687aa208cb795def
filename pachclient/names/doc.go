// Package names stores the file names that Pachyderm refuses: a Client of it
// shows every path decoded, and hands it on encoded.
//
// A name is any bytes but NUL and the slash; "." and ".." are none. F is the
// set of bytes that [pachclient.ValidName] refuses: what is not printable ASCII,
// and “* ? [ ] { } ! ( ) @ + ^“. A token is
//
//	"%" ("25")* HH		with HH two uppercase hex digits of a byte of F
//
// A stored name differs from the one that is shown in two things only:
//
//	a byte of F		is stored as its token   ( ↔ %28, ö ↔ %C3%B6
//	a token			is stored with one "25" more   %28 ↔ %2528 ↔ %252528
//
// So the names that need nothing stay as they are, among them "%", "a%20b" and
// "100%25", and the encoding is a bijection between all names and those that
// Pachyderm takes: every stored name is shown, and every name that is shown is
// stored under exactly one. It holds because a token begins with its only "%",
// because 25 is not in F (the number of "25" is never in doubt), and because no
// byte of F can stand in a token: so neither step makes or breaks a token of
// what is beside it. NUL and the slash are not in F, and nothing decodes to them.
//
// A stored name is up to three times as long as the one that is shown.
//
// Pachyderm checks the names of what is added and deleted, but not the target
// of a copy. So others may have made files that have bytes of F in their stored
// names; these are shown as they are, can be read and copied, and can't be
// deleted by anybody. If the name that is shown is also that of a regular file
// beside it, that one hides them.
package names
