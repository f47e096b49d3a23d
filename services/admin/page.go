package admin

import (
	"encoding/base64"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

const (
	defaultPage = 100
	maxPage     = 1000
	// maxScan is how many kept objects one call looks at, so that whoever sees few
	// of many costs no more than others: his page is short, and he asks on.
	maxScan = 10_000
	// scanBatch is how many are read at a time at least: a page of one is not to
	// take a question to the store for each object that is not the caller's.
	scanBatch = 100
	// maxCursor bounds what a page token may hold.
	maxCursor = 1 << 10
)

// tokenMark begins what is in a page token, so that no other base64 is one.
const tokenMark = "sluice1:"

// paged is what every list request has.
type paged interface {
	GetPageSize() int32
	GetPageToken() string
}

// page is how many objects are asked for, after which.
type page struct {
	size  int
	after string
}

// pageOf reads a list request. A token is a place in a list and no right to
// anything in it: a forged one begins the list elsewhere.
func pageOf(r paged) (page, *access.Error) {
	p := page{size: int(r.GetPageSize())}
	switch {
	case p.size == 0:
		p.size = defaultPage
	case p.size < 0 || p.size > maxPage:
		return page{}, malformed("page_size must be from 1 to %d", maxPage)
	}
	token := r.GetPageToken()
	if token == "" {
		return p, nil
	}
	if len(token) <= maxCursor {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		after, ok := strings.CutPrefix(string(raw), tokenMark)
		if err == nil && ok && after != "" && !strings.ContainsRune(after, 0) {
			p.after = after
			return p, nil
		}
	}
	return page{}, malformed("page_token is not one that this gateway gave; begin without one")
}

// tokenAfter is the token of the page after an id.
func tokenAfter(id string) string {
	if id == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(tokenMark + id))
}

// scan gathers a page of what is kept as T, which fetch lists by id and keep
// picks from. It returns the token of the next page, "" at the end.
func scan[T any](p page, id func(T) string, fetch func(after string) ([]T, error), keep func(T) bool) (found []T, next string, err error) {
	after := p.after
	for scanned := 0; scanned < maxScan; {
		batch, err := fetch(after)
		if err != nil {
			return nil, "", err
		}
		for _, item := range batch {
			after = id(item)
			if !keep(item) {
				continue
			}
			if found = append(found, item); len(found) == p.size {
				return found, tokenAfter(after), nil
			}
		}
		if len(batch) == 0 {
			return found, "", nil
		}
		scanned += len(batch)
	}
	return found, tokenAfter(after), nil
}

// slicePage is a page of a list that is whole in memory, sorted by id.
func slicePage[T any](p page, id func(T) string, all []T) (found []T, next string) {
	for _, item := range all {
		if id(item) <= p.after {
			continue
		}
		if len(found) == p.size {
			return found, tokenAfter(id(found[len(found)-1]))
		}
		found = append(found, item)
	}
	return found, ""
}
