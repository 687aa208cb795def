// Package labelstudio installs and runs a stock Label Studio on a mount, and
// speaks its API: for `make label-studio` and for the tests of the user's story.
// Nothing of Label Studio is changed; it gets an environment of its own, which
// keeps it from calling home.
package labelstudio
