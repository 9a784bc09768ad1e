package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

// buildVersion is what the build information says: the module version of an
// installed release, otherwise the commit.
func buildVersion() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	version = info.Main.Version
	if version == "" || version == "(devel)" {
		version = "development"
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified && commit != "" {
		commit += " with local changes"
	}
	return version, commit
}

func (versionCmd) Run(con *console) error {
	version, commit := buildVersion()
	v := map[string]string{"version": version, "commit": commit, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	return con.result(v, func(w io.Writer) {
		fmt.Fprintf(w, "saaf %s", version)
		if commit != "" {
			fmt.Fprintf(w, " (%s)", commit)
		}
		fmt.Fprintf(w, ", %s, %s\n", v["go"], v["platform"])
	})
}
