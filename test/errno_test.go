package test

import "errors"

// isErrno says whether err is the error number want; nil is nil.
func isErrno(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}
