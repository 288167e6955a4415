//go:build !windows

package artifact

import (
	"errors"
	"syscall"
)

// isNoSpace tells whether err means a full disk or an exhausted quota.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
