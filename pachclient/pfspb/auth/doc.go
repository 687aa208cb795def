// Package auth holds the messages of the service auth_v2.API, as far as a client
// with a token needs them.
package auth
