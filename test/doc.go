// Package test holds what is shown through a real kernel, and the rules of the
// house. It stands beside the house: it imports every floor, nobody imports it.
//
// The rungs, and how to run each:
//
//	house     who may import whom                go test ./test -run 'Floors|Fences|Words|Package|LongFiles|TopLevel|Docs'
//	mount     one theme a file, through FUSE     go test ./test -run 'Story|Lazy|Trigger|Tree|Posix'
//	commits   unmount, other clients, errors      go test ./test -run 'Unmount|Two|Foreign|Away|Error|Unprivileged'
//	state     what killed mounts left            go test ./test -run State
//	faults    kill -9 while 1000 files are       go test ./test -run 'TestKill$' -kills 200
//	          written: 20 rounds; -short does 3
//	suites    go-fuse's posixtest, the areas of    go test ./test -run 'PosixGofuse|PosixSuite|Fsx|Tools'
//	          pjdfstest beside a plain directory,
//	          an fsx (-fsx N -seed S), fio, stress-ng,
//	          git, tar, rsync, vim
//	clients   Pachyderm's Python libraries       go test ./test -run Python
//	          against pachfs serve; from PyPI
//	          the first time, then from ~/.cache
//	all                                          go test ./test
//	with a race detector in the daemon           go test -race ./test
//	real      against your own pachd             PACHFS_TEST_PACHD=grpc://host:port go test ./test
//
// It wants root, fuse3 and the Debian packages of packages.txt; what is missing
// is a failure that says so. Against a pachd of yours each test makes repos of
// its own, with a random suffix, and leaves them there; a test that has to kill
// or stop its server is skipped, and says so; each rung of `make test` ends
// with a list of what was skipped in it.
//
// A deadline here is ten times what is promised: a test is no benchmark. Random
// tests print their seed, and -seed runs one again.
package test
