//go:build !race

package staging_test

const modelDefault = 10_000
