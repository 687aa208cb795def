package embedded

import (
	"slices"
	"strings"

	"google.golang.org/grpc"

	"pachfs/pachclient/pfspb/pfs"
)

// commitSet gives the commits with one ID, one of each repo that has it.
func (t *tx) commitSet(id string) ([]*commitRec, error) {
	if id == "" {
		return nil, nil
	}
	var all []*commitRec
	err := t.scan(bucketSets, id+"@", func(repo string, _ []byte) error {
		c, err := found(t.get, bucketCommits, repo+"@"+id, new(commitRec))
		if err == nil && c != nil {
			all = append(all, c)
		}
		return err
	})
	return all, err
}

// InspectCommitSet tells about the commits of a set, each when it is finished
// if that is asked for.
func (s *Server) InspectCommitSet(req *pfs.InspectCommitSetRequest, stream grpc.ServerStreamingServer[pfs.CommitInfo]) error {
	id := req.CommitSet.GetId()
	var all []*commitRec
	err := s.view(func(t *tx) (err error) {
		all, err = t.commitSet(id)
		if err == nil && len(all) == 0 {
			err = notFound("no commits found for commitset %s", id)
		}
		return err
	})
	if err != nil {
		return err
	}
	state := pfs.CommitState_STARTED
	if req.Wait {
		state = pfs.CommitState_FINISHED
	}
	for _, c := range all {
		now, err := s.waitCommit(stream.Context(), c, state)
		if err == nil && now == nil {
			err = unknown("commit %s was deleted", c)
		}
		if err != nil {
			return err
		}
		var info *pfs.CommitInfo
		err = s.view(func(t *tx) error {
			info, err = t.commitInfo(now)
			return err
		})
		if err != nil {
			return err
		}
		if err := stream.Send(info); err != nil {
			return err
		}
	}
	return nil
}

// ListCommitSet lists the commit sets of a project, or all, newest first.
func (s *Server) ListCommitSet(req *pfs.ListCommitSetRequest, stream grpc.ServerStreamingServer[pfs.CommitSetInfo]) error {
	prefix := ""
	if req.Project.GetName() != "" {
		prefix = req.Project.Name + "/"
	}
	var infos []*pfs.CommitSetInfo
	err := s.view(func(t *tx) error {
		sets := make(map[string][]*commitRec)
		err := t.scan(bucketCommits, prefix, func(key string, data []byte) error {
			c := new(commitRec)
			if err := decodeRecord(bucketCommits, key, data, c); err != nil {
				return err
			}
			sets[c.ID] = append(sets[c.ID], c)
			return nil
		})
		if err != nil {
			return err
		}
		infos, err = t.commitSetInfos(sets)
		return err
	})
	return sendAll(stream, infos, err)
}

func (t *tx) commitSetInfos(sets map[string][]*commitRec) ([]*pfs.CommitSetInfo, error) {
	order := make([]string, 0, len(sets))
	for id := range sets {
		order = append(order, id)
	}
	slices.SortFunc(order, func(a, b string) int {
		if d := int64(sets[b][0].Seq) - int64(sets[a][0].Seq); d != 0 {
			return int(d)
		}
		return strings.Compare(a, b)
	})
	var infos []*pfs.CommitSetInfo
	for _, id := range order {
		set := &pfs.CommitSetInfo{CommitSet: &pfs.CommitSet{Id: id}}
		for _, c := range sets[id] {
			info, err := t.commitInfo(c)
			if err != nil {
				return nil, err
			}
			set.Commits = append(set.Commits, info)
		}
		infos = append(infos, set)
	}
	return infos, nil
}
