//go:build !linux

package sqlite_test

import "testing"

func tmpfs(t *testing.T, _ string) string {
	t.Helper()
	t.Skip("mounts a small file system, which is written for Linux")
	return ""
}
