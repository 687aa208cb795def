// Package wire turns the words of pachclient into the messages of the PFS API
// and back, and statuses into errors. Each pair is in one file, so that the
// two halves can't drift apart.
package wire
