package dnd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"saaf"
)

// open opens every file and finds out its hash, as far as that is needed before
// the rows: for a delta, which may have been applied before, and for a full set
// where files are of the same length, which may be the same.
func (j *job) open(ctx context.Context) error {
	for _, path := range j.Files {
		s, err := openSource(path)
		if err != nil {
			return cannotOpen(err)
		}
		j.sources = append(j.sources, s)
		j.total += s.opened.Size()
	}
	for _, s := range j.sources {
		if j.Mode == saaf.Delta || j.twins(s) {
			err := s.hash(ctx, func(n int) {
				s.read += int64(n)
				j.progressOf(Hashing, s)
			})
			if err != nil {
				return fmt.Errorf("read %s: %w", s.name, err)
			}
		}
		s.read = 0
		j.done += s.opened.Size()
		j.progressOf(Hashing, s)
		j.report.Files = append(j.report.Files, FileReport{Name: s.name, SHA256: s.sha, Bytes: s.opened.Size()})
	}
	j.done = 0
	return nil
}

// twins reports whether another file has the length of s.
func (j *job) twins(s *source) bool {
	return slices.ContainsFunc(j.sources, func(o *source) bool { return o != s && o.opened.Size() == s.opened.Size() })
}

func cannotOpen(err error) error {
	name, why := "A registry file", err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		name, why = p.Path, p.Err
	}
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid",
		Message: fmt.Sprintf("%s cannot be opened (%v): check its name and who may read it.", name, why)}
}

// skip passes over what needs no reading and reports whether anything is left: of a
// full set the copies of a file, of a delta what the active snapshot already holds.
//
// A delta that was applied before the last one is neither passed over, since the
// last one may have undone it, nor applied again, since it may undo the last one:
// it is refused, and an override applies it. Only a run of deltas that is repeated
// as a whole, or one with an old date, is plainly nothing to do. So is one that was
// applied last, unless it is named behind one that is new: its rows would have to win.
func (j *job) skip() bool {
	repeated := j.repeats()
	seen := map[saaf.SHA256]bool{}
	left := 0
	for i := range j.report.Files {
		f := &j.report.Files[i]
		if !j.sources[i].hashed { // no other is like it
			left++
			continue
		}
		switch {
		case f.Applied != 0 && f.Applied != j.BaseID && !repeated:
			j.report.refuse(RuleRepeated, "%s was applied before, to snapshot %v, and others since: it may be undone by now, or undo them", f.Name, f.Applied)
			left++
		case f.Applied != 0 && left > 0:
			j.report.refuse(RuleRepeated, "%s was applied before, to snapshot %v, and is named behind others that were not: they may undo it, or it them", f.Name, f.Applied)
			left++
		case f.Applied != 0:
			f.Skipped = true
			j.report.warn("%s was applied before, to snapshot %v, and is passed over", f.Name, f.Applied)
			j.report.NoOp = max(j.report.NoOp, f.Applied)
		case seen[f.SHA256] && j.Mode == saaf.FullSet:
			f.Skipped = true
			j.report.warn("%s is there twice and is read once", f.Name)
		default:
			left++
		}
		seen[f.SHA256] = true
	}
	if left > 0 {
		j.report.NoOp = 0
	}
	return left > 0
}

// repeats notes which files were applied before and reports whether that makes the
// import the repetition of an earlier one.
func (j *job) repeats() bool {
	if j.Mode != saaf.Delta || j.Applied == nil {
		return false
	}
	all, last := true, false
	for i := range j.report.Files {
		f := &j.report.Files[i]
		if id, ok := j.Applied(f.SHA256); ok {
			f.Applied = id
		}
		all = all && f.Applied != 0
		last = last || f.Applied == j.BaseID
	}
	return all && last || j.EffectiveDate < j.BaseDate
}

// read reads the rows of file i, and its hash beside them unless it is known.
func (j *job) read(ctx context.Context, i int) error {
	s, f := j.sources[i], &j.report.Files[i]
	if f.Skipped {
		j.done += f.Bytes
		return nil
	}
	hashing, stop := context.WithCancel(ctx)
	defer stop()
	hashed := inBackground(func() error {
		j.crew.begins()
		if s.hashed {
			return nil
		}
		return s.hash(hashing, func(int) {})
	})
	err := j.readRows(ctx, s, f)
	if err != nil {
		stop()
	}
	if e := hashed(); err == nil && e != nil {
		err = fmt.Errorf("read %s: %w", f.Name, e)
	}
	if err != nil {
		return err
	}
	f.SHA256 = s.sha
	if err := s.unchanged(); err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	if f.Active+f.Deleted == 0 {
		j.report.refuse(RuleNoRows, "%s has no row that can be read", f.Name)
	}
	j.done += f.Bytes
	s.read = 0
	j.progressOf(Reading, s)
	return nil
}

// inBackground runs f in a goroutine and returns what waits for its error.
func inBackground(f func() error) (wait func() error) {
	end := make(chan error, 1)
	go func() { end <- f() }()
	return func() error { return <-end }
}

// readRows reads the rows of all streams in a file.
func (j *job) readRows(ctx context.Context, s *source, f *FileReport) error {
	streams, err := s.streams()
	if err != nil {
		j.unreadable(f, "", err)
	}
	for _, stream := range streams {
		broken, err := j.readStream(ctx, s, f, stream)
		if err != nil {
			return err
		}
		if broken != nil {
			j.unreadable(f, stream.member, broken)
		} else {
			f.Members++
		}
	}
	return nil
}

// unreadable refuses the import for a file or the member of an archive.
func (j *job) unreadable(f *FileReport, member string, err error) {
	name := f.Name
	if member != "" {
		name = fmt.Sprintf("%q in %s", member, f.Name)
	}
	j.report.refuse(RuleUnreadable, "%s cannot be read in full (%v); %s rows of the file were read", name, err, grouped(f.Rows))
}

func (j *job) progressOf(stage Stage, s *source) {
	j.progress(Progress{Stage: stage, File: s.name, BytesDone: j.done + s.read, BytesTotal: j.total})
}
