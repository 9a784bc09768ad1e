package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"saaf/store"
)

// localFiles are the registry files beside a store in a database: what a command writes
// there it must say, since nobody asked for it.
type localFiles struct {
	dir    string
	before map[string]bool
}

// filesOf notes which files there are, before a command.
func filesOf(db database, d dataFlags) *localFiles {
	if db.url == "" {
		return nil
	}
	f := &localFiles{dir: d.registryDir()}
	f.before = f.names()
	return f
}

// names lists the files; of a directory that cannot be read there are none.
func (f *localFiles) names() map[string]bool {
	list, _ := os.ReadDir(f.dir)
	names := make(map[string]bool, len(list))
	for _, e := range list {
		names[e.Name()] = true
	}
	return names
}

// written says which files have come since, "" for none and beside a server, whose they
// are.
func (f *localFiles) written() string {
	if f == nil {
		return ""
	}
	if serving, err := store.Serving(filepath.Dir(f.dir)); err != nil || serving {
		return ""
	}
	now := f.names()
	maps.DeleteFunc(now, func(name string, _ bool) bool { return f.before[name] })
	if len(now) == 0 {
		return ""
	}
	return fmt.Sprintf("this command keeps %s of the registry in %s; --data-dir or SAAF_DATA_DIR names another data directory, such as that of a server on this machine",
		counted(len(now), "file", "files"), f.dir)
}
