package store

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Migration is one step of a database's schema, from Version-1 to Version.
// There is no way back: what a newer program has made of a database, an older
// one refuses with [Schema.Check].
type Migration struct {
	Version int
	Name    string
	SQL     string
}

// Schema says which version of its schema a database has, 0 for none at all,
// and which one this program makes of it.
type Schema struct {
	Have int `json:"have"`
	Want int `json:"want"`
}

// Check refuses a schema that is newer than the program.
func (s Schema) Check() error {
	if s.Have > s.Want {
		return fmt.Errorf("the database has schema version %d and this program knows %d: it was used by a newer sluice; start that one, or restore a backup", s.Have, s.Want)
	}
	return nil
}

// Migrations reads the files of a folder named 0001_name.sql, 0002_name.sql …
// without a gap.
func Migrations(files fs.FS, dir string) ([]Migration, error) {
	entries, err := fs.ReadDir(files, dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var all []Migration
	for i, e := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if !ok || err != nil || version != i+1 || path.Ext(e.Name()) != ".sql" {
			return nil, fmt.Errorf("migration %s: want %04d_name.sql", e.Name(), i+1)
		}
		text, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, Migration{Version: version, Name: name, SQL: string(text)})
	}
	return all, nil
}
