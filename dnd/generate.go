package dnd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"saaf"
)

// Generate writes the files of a [Synthetic] registry, in the layout and the packing
// of the files that telemarketers download.
type Generate struct {
	// Path is the file to write. It ends in .csv, .csv.gz or .zip, which decides how
	// the rows are packed; an archive has at least four members.
	Path string
	// Registry is what to write.
	Registry *Synthetic
	// Delta is the delta to write; nil writes the full set.
	Delta *SyntheticDelta
	// RowsPerFile spreads the rows over several files, name_0.csv, name_1.csv and so
	// on. 0 writes one file with the given name.
	RowsPerFile int64
	// Ascending writes the numbers of a full set in ascending order.
	Ascending bool
	// Bare leaves out the header and the quotes.
	Bare bool
	// Force overwrites files that exist.
	Force bool

	// Progress is called from the goroutine of Run, about every 16,000 rows. nil is
	// not called.
	Progress func(GenerateProgress)
}

// GenerateProgress is how far a Generate is.
type GenerateProgress struct {
	File            string // the one at work, without directories
	Rows, RowsTotal int64
	Bytes           int64 // written so far, of all files
}

// GenerateReport is what was written. An import of the files counts the same.
type GenerateReport struct {
	Files     []GeneratedFile `json:"files"`
	Rows      int64           `json:"rows"`
	Active    int64           `json:"active"`     // A rows
	Deleted   int64           `json:"deleted"`    // D rows
	Partial   int64           `json:"partial"`    // A rows with a list of categories
	NotListed int64           `json:"not_listed"` // D rows of a delta for numbers that are not listed anyway
	Bytes     int64           `json:"bytes"`
}

// GeneratedFile is one file that was written.
type GeneratedFile struct {
	Path   string      `json:"path"`
	SHA256 saaf.SHA256 `json:"sha256"`
	Bytes  int64       `json:"bytes"`
	Rows   int64       `json:"rows"`
}

// Run writes the files, which only their owner can read. They get their names when
// all are complete; after an error before that, or when ctx ends, there are none.
// Their rows depend on the fields alone, and so do their bytes as long as the packing
// is that of the same version of Go.
//
// A wrong call returns a [saaf.Error] with the word "invalid", a file that exists
// one with the word "exists".
func (g *Generate) Run(ctx context.Context) (*GenerateReport, error) {
	files, err := g.plan()
	if err != nil {
		return nil, err
	}
	report, err := g.run(ctx, files)
	if err != nil && saaf.ErrorCode(err) == saaf.Internal {
		err = fmt.Errorf("generate registry files: %w", err)
	}
	return report, err
}

// plannedFile is a file that is to be written.
type plannedFile struct {
	path    string
	packing packing
	span    span
	members []span // what begins with a header: one, or those of an archive
}

// The packings by the ends of names.
var generatedPackings = []struct {
	end     string
	packing packing
}{{".csv", plainText}, {".csv.gz", gzipped}, {".zip", zipped}}

// An archive has 4 members, and more when they would have over 2.5 million rows.
const (
	fewestMembers = 4
	memberRows    = 2_500_000
)

func (g *Generate) plan() ([]plannedFile, error) {
	rows := g.Registry.Numbers
	if g.Delta != nil {
		rows = g.Delta.Rows
	}
	switch {
	case g.Delta != nil && g.Ascending:
		return nil, invalidSynthetic("A delta has no ascending order: leave it out.")
	case g.RowsPerFile < 0:
		return nil, invalidSynthetic("The rows of a file must be 1 or more, or 0 for one file.")
	}
	for _, p := range generatedPackings {
		stem, ok := strings.CutSuffix(g.Path, p.end)
		if !ok || filepath.Base(stem) == "." || strings.HasSuffix(stem, string(filepath.Separator)) || stem == "" {
			continue
		}
		if g.RowsPerFile == 0 {
			return []plannedFile{planFile(g.Path, p.packing, span{0, rows})}, nil
		}
		spans := span{0, rows}.split(g.RowsPerFile)
		files := make([]plannedFile, len(spans))
		for i, s := range spans {
			files[i] = planFile(stem+"_"+numbered(i, len(spans))+p.end, p.packing, s)
		}
		return files, nil
	}
	return nil, invalidSynthetic("The name of the file must end in .csv, .csv.gz or .zip.")
}

// numbered is i with the digits of the last of n, so that names sort as they were
// written.
func numbered(i, n int) string {
	return fmt.Sprintf("%0*d", len(strconv.Itoa(n-1)), i)
}

func planFile(path string, p packing, s span) plannedFile {
	f := plannedFile{path: path, packing: p, span: s, members: []span{s}}
	if p == zipped {
		f.members = s.split(min(memberRows, (s.rows()+fewestMembers-1)/fewestMembers))
	}
	return f
}

func (g *Generate) run(ctx context.Context, files []plannedFile) (report *GenerateReport, err error) {
	if err := g.absent(files); err != nil {
		return nil, err
	}
	r := startGeneration(ctx, g, files)
	defer r.stop()
	var written []*os.File
	defer func() {
		for _, f := range written {
			if e := os.Remove(f.Name()); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}()
	for i := range files {
		f, err := os.CreateTemp(filepath.Dir(files[i].path), "."+filepath.Base(files[i].path)+".*.tmp")
		if err != nil {
			return nil, err
		}
		written = append(written, f)
		if err := errors.Join(r.file(f, &files[i]), f.Close()); err != nil {
			return nil, err
		}
	}
	if err := g.absent(files); err != nil {
		return nil, err
	}
	for i, f := range written {
		if err := os.Rename(f.Name(), files[i].path); err != nil {
			return nil, err
		}
	}
	return r.report, nil
}

// absent reports an error when one of the files is there and must not be
// overwritten.
func (g *Generate) absent(files []plannedFile) error {
	if g.Force {
		return nil
	}
	for _, f := range files {
		switch _, err := os.Lstat(f.path); {
		case err == nil:
			return &saaf.Error{Code: saaf.Conflict, Word: "exists",
				Message: fmt.Sprintf("%s exists: choose another name, or overwrite it with --force", f.path)}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}
