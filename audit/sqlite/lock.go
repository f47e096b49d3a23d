package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// lockPoll is how often it is looked whether another process has ended.
const lockPoll = 50 * time.Millisecond

// Own is [audit.Owned]'s. The lock is of a file beside the log: opening and closing
// the log's own would drop SQLite's locks.
func (l *Log) Own(ctx context.Context) error {
	f, err := os.OpenFile(l.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	for {
		locked, err := tryLock(f)
		if locked {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.lock = f
			return nil
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		timer := time.NewTimer(lockPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(fmt.Errorf("audit log %s: another process writes to it; give each gateway a file of its own", l.path), f.Close())
		}
	}
}
