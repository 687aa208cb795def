// Package pfspb is the folder of the messages that Pachyderm speaks over gRPC:
// one package below it per service. They are written from the wire format (the
// numbers and names of Pachyderm 2.11, which contain those of 2.1 and later),
// so that Pachyderm's own Go module, with all that it drags in, is not needed.
package pfspb

//go:generate sh -c "cd ../.. && protoc --go_out=. --go_opt=module=pachfs --go-grpc_out=. --go-grpc_opt=module=pachfs pachclient/pfspb/*/*.proto"
