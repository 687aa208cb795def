// Package harness runs pachfs as its users do: real processes, real mounts,
// real gRPC over TCP, real kills.
//
//   - A [Proc] is a child with a deadline whose output is kept.
//   - A [Server] is `pachfs serve` in a child, or the pachd that
//     PACHFS_TEST_PACHD=grpc://host:port names. [Server.Ref] then gives repos
//     that no other test has.
//   - A [Peer] is another client of the same Pachyderm. It speaks gRPC with the
//     generated messages and shares no code with pachfs, so that the two can
//     disagree.
//   - A [Mount] is `pachfs mount` in a child. A watchdog aborts its FUSE
//     connection when the time is over: a hang is a failed test, not a hung
//     machine. When it is closed, nothing of it may be left ([Mount.Close]).
//   - A [Proxy] stands between the two: it counts bytes, and cuts, holds or
//     slows the connections.
//   - A [Relay] stands there too, and breaks the wire at a point of a call.
//
// [FaultyBinary] is a pachfs that kills itself at a named point
// (staging.Points), for a [Spec] to run.
//
// With -race the daemon is built with it too, and a race in it fails the test.
package harness
