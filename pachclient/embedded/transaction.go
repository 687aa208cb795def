package embedded

import (
	"context"

	grpcmd "google.golang.org/grpc/metadata"

	"pachfs/pachclient/pfspb/pfs"
)

// transactionKey is the request metadata that names a transaction.
const transactionKey = "pach-transaction"

// transactional are the calls that pachd keeps for the end of the transaction
// that a request names, instead of doing them.
var transactional = map[string]bool{
	pfs.API_CreateRepo_FullMethodName:      true,
	pfs.API_DeleteRepo_FullMethodName:      true,
	pfs.API_StartCommit_FullMethodName:     true,
	pfs.API_FinishCommit_FullMethodName:    true,
	pfs.API_SquashCommitSet_FullMethodName: true,
	pfs.API_CreateBranch_FullMethodName:    true,
	pfs.API_DeleteBranch_FullMethodName:    true,
}

// refuseTransaction keeps a call from happening at once that somebody wants to
// happen later or never: there are no transactions here, so none has that id.
func refuseTransaction(ctx context.Context, method string) error {
	if !transactional[method] {
		return nil
	}
	md, _ := grpcmd.FromIncomingContext(ctx)
	for _, id := range md.Get(transactionKey) {
		if id != "" {
			return toStatus(notFound("transactions %s not found", id))
		}
	}
	return nil
}
