package target

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// versionOf is how each peer is asked for its version.
var versionOf = []struct {
	program, flag string
	pattern       *regexp.Regexp
}{
	{"envoy", "--version", regexp.MustCompile(`/(\d+\.\d+\.\d+)/`)},
	{"nginx", "-v", regexp.MustCompile(`nginx/(\S+)`)},
	{"haproxy", "-v", regexp.MustCompile(`version (\S+)`)},
}

const versionLimit = 10 * time.Second

// Versions gives "program version" for each peer in bin that tells it.
func Versions(ctx context.Context, bin string) []string {
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	var out []string
	for _, v := range versionOf {
		said, err := exec.CommandContext(ctx, filepath.Join(bin, v.program), v.flag).CombinedOutput()
		if err != nil {
			continue
		}
		if m := v.pattern.FindSubmatch(said); m != nil {
			out = append(out, v.program+" "+string(m[1]))
		}
	}
	return out
}
