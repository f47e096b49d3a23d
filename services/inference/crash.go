package inference

import (
	"fmt"
	"runtime"
	"strings"
)

// crashFrames is how many functions a crash names, innermost first.
const crashFrames = 5

// caught runs f, and makes an error of its panic: the goroutines of a stream
// are not below the interceptor that recovers, and one stream's must not end
// the process. The panic's value is not shown, it may quote a message.
func caught(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = crash(p)
		}
	}()
	return f()
}

func crash(p any) error {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var names []string
	for more := true; more && len(names) < crashFrames; {
		var f runtime.Frame
		f, more = frames.Next()
		if name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]; !strings.HasPrefix(name, "runtime.") {
			names = append(names, fmt.Sprintf("%s:%d", name, f.Line))
		}
	}
	return fmt.Errorf("panic of type %T in a stream: %s", p, strings.Join(names, " < "))
}
