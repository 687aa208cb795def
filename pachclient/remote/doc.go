// Package remote is a Pachyderm over gRPC, any pachd from 2.1 to 2.11 or later:
// addresses and contexts as pachctl has them, TLS, token, retry, and the calls
// behind pachclient.Client.
package remote
