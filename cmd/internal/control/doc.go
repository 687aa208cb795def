// Package control is the HTTP API /v1 of a running mount: the server, which
// lives in the daemon, and the client, which every other command is. It listens on
// a unix socket in the state directory, which only its owner can reach.
//
//	GET  /v1/health                          200 while the daemon lives
//	GET  /v1/status                          {"mountpoint", "server", "project", "problem", "state_dir", "pid",
//	                                          "branches": [Status, …]}; no problem: nothing is wrong with the server
//	GET  /v1/diff?branch=repo@branch         [{"op": "+", "path": "/a"}, …]
//	GET  /v1/log?branch=repo@branch          [LogEntry, …], newest first
//	POST /v1/commit   {"branch", "message",  {"branch": "commit id", …}; no branch: all that have changes
//	                   "on_conflict"}        "fail", "ours" or "theirs"; none: as the mount was told
//	POST /v1/discard  {"branch", "paths"}    no paths: everything
//	POST /v1/stop                            unmounts, lands, and answers with the daemon's exit status
//
// A failure is {"error": words, "exit": status} where exit is of the table
// that all commands share.
package control
