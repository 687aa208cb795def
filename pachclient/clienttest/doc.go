// Package clienttest is the conformance suite that every pachclient.Client
// passes ([Run]), and a Client that fails on request ([Faulty]).
package clienttest
