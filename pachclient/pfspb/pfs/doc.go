// Package pfs holds the messages of the service pfs_v2.API: projects,
// repos, branches, commits, files and file sets.
package pfs
