// Package content keeps the bytes of files: cut into chunks by their content,
// hashed as Pachyderm hashes them, and put away in blobs.
//
// A blob is a file named by the BLAKE2b-256 hash of its bytes, written once
// and never changed. A chunk of 4 MiB or more is a blob of its own, so that
// the same chunk is stored once; smaller chunks (most files are one) are packed
// together into blobs of about 4 MiB, so that ten thousand small files cost
// three syncs and not ten thousand. A chunk is therefore known by blob, offset
// and length.
package content
