//go:build race

package staging_test

// modelDefault is how many steps the model test makes: the race detector makes each ten times as long.
const modelDefault = 500
