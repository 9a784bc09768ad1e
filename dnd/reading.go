package dnd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"saaf"
)

// open opens every file and reads it once for its hash.
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
		err := s.hash(ctx, j.buf, func() { j.progressOf(Hashing, s) })
		if err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		j.done += s.opened.Size()
		j.report.Files = append(j.report.Files, FileReport{Name: s.name, SHA256: s.sha, Bytes: s.opened.Size()})
	}
	j.done = 0
	return nil
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
// as a whole, or one with an old date, is plainly nothing to do.
func (j *job) skip() bool {
	repeated := j.repeats()
	seen := map[saaf.SHA256]bool{}
	left := 0
	for i := range j.report.Files {
		f := &j.report.Files[i]
		switch {
		case f.Applied != 0 && f.Applied != j.BaseID && !repeated:
			j.report.refuse(RuleRepeated, "%s was applied before, to snapshot %v, and others since: it may be undone by now, or undo them", f.Name, f.Applied)
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

// read reads the rows of file i.
func (j *job) read(ctx context.Context, i int) error {
	s, f := j.sources[i], &j.report.Files[i]
	if f.Skipped {
		j.done += f.Bytes
		return nil
	}
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

// unreadable refuses the import for a file or the member of an archive.
func (j *job) unreadable(f *FileReport, member string, err error) {
	name := f.Name
	if member != "" {
		name = fmt.Sprintf("%q in %s", member, f.Name)
	}
	j.report.refuse(RuleUnreadable, "%s cannot be read in full (%v); %s rows of the file were read", name, err, grouped(f.Rows))
}

// readStream reads the rows of one stream. broken is why it could not be read to
// its end; what was read before counts.
func (j *job) readStream(ctx context.Context, s *source, f *FileReport, stream stream) (broken, err error) {
	r, err := stream.open()
	if err != nil {
		return err, nil
	}
	defer func() {
		if e := r.Close(); broken == nil && err == nil {
			broken = e
		}
	}()
	p := newParser(j.sets, func(line int64, why saaf.Reason) {
		if len(j.report.MalformedRows) < maxMalformedRows {
			j.report.MalformedRows = append(j.report.MalformedRows, MalformedRow{f.Name, stream.member, line, why})
		}
	})
	lines := &lineReader{r: r, buf: j.buf}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		chunk, end := lines.next()
		p.counts = Counts{}
		rows, broken := p.parse(chunk, j.rows[:0])
		j.content.add(rows)
		j.rows = rows
		f.add(p.counts)
		j.report.Total.add(p.counts)
		j.progressOf(Reading, s)
		switch {
		case broken != nil:
			return broken, nil
		case errors.Is(end, io.EOF):
			return nil, nil
		case end != nil:
			return end, nil
		}
	}
}

func (j *job) progressOf(stage Stage, s *source) {
	j.progress(Progress{Stage: stage, File: s.name, BytesDone: j.done + s.read, BytesTotal: j.total})
}
