package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// processLock says that a SQLite database is this process's, until the last Store on it is closed. Two processes would
// serve from copies that do not know of each other's changes; and other tools take SQLite's own locks in ways that
// break its promises.
type processLock struct {
	path    string
	file    *os.File
	holders int           // under locks.mu
	turn    chan struct{} // holds a token: one goroutine at a time opens or migrates
}

// locks are those that this process holds, by the path of the database. The lock of a file is the process's and not a
// Store's, so they are the process's too.
var locks = struct {
	mu     sync.Mutex
	byPath map[string]*processLock // under mu
}{byPath: map[string]*processLock{}}

// lockProcess takes the lock of the database, or returns ErrInUse.
func lockProcess(path string) (*processLock, error) {
	locks.mu.Lock()
	defer locks.mu.Unlock()
	if lock := locks.byPath[path]; lock != nil {
		lock.holders++
		return lock, nil
	}
	return takeLock(path)
}

// lockAlone is lockProcess for who wants no Store on the database in this process either.
func lockAlone(path string) (*processLock, error) {
	locks.mu.Lock()
	defer locks.mu.Unlock()
	if locks.byPath[path] != nil {
		return nil, fmt.Errorf("%w: this process has this database open", ErrInUse)
	}
	return takeLock(path)
}

// takeLock takes a lock that this process does not have, for who has locks.mu.
func takeLock(path string) (*processLock, error) {
	// The file is never removed: whoever waited for it would then hold the lock of a file that others cannot see.
	file, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(file); err != nil {
		err = fmt.Errorf("%w: %w", holderOf(file), err)
		return nil, errors.Join(err, file.Close())
	}
	if err := writeHolder(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	lock := &processLock{path: path, file: file, holders: 1, turn: make(chan struct{}, 1)}
	lock.turn <- struct{}{}
	locks.byPath[path] = lock
	return lock, nil
}

func (l *processLock) release() error {
	locks.mu.Lock()
	defer locks.mu.Unlock()
	if l.holders--; l.holders > 0 {
		return nil
	}
	delete(locks.byPath, l.path)
	return errors.Join(unlock(l.file), l.file.Close())
}

// SessionLock makes a processLock the lock of goose: within one process a turn is all it takes.
func (l *processLock) SessionLock(ctx context.Context, _ *sql.Conn) error {
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another migration: %w", ctx.Err())
	}
}

// SessionUnlock ends the turn.
func (l *processLock) SessionUnlock(context.Context, *sql.Conn) error {
	l.turn <- struct{}{}
	return nil
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holderOf(file *os.File) error {
	b := make([]byte, 20)
	n, _ := file.ReadAt(b, 0)
	holder := "another process"
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		holder = fmt.Sprintf("another process (pid %d)", pid)
	}
	return fmt.Errorf("%w: %s has this database open; talk to it through its admin API", ErrInUse, holder)
}
