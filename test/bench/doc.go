// Package bench measures pachfs against floors that are measured in the same
// run, and writes docs/BENCHMARKS.md: `make bench`, `make bench ROWS=1,6` for
// some rows. It asserts no times: the machines are shared, and what counts is
// the ratio to a floor that was just as unlucky.
//
// The floors: raw is the same calls by a bare grpc-go client with the generated
// messages (raw_test.go); disk is the same work on the file system under the
// state directory. A row is a function (rows_*_test.go) that does each work once
// per run, ours and the floor's in turn; the table has medians and the spread.
package bench
