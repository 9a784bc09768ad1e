package dnd

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"saaf"
	"saaf/fileowner"
)

// Import makes a snapshot file from registry files, by section 2 of the registry
// rules. It activates nothing: it leaves a file behind and says what is in it.
//
// A file is text with a row on each line, or gzip, or a zip archive whose members
// are .csv or .txt; its first bytes decide which. Each stream of rows may begin
// with a header, which then says what the columns are.
type Import struct {
	// Files are the registry files. Their order matters to a delta only, where
	// the last row of a number wins.
	Files []string
	// Mode is [saaf.FullSet] or [saaf.Delta].
	Mode saaf.ImportMode
	// EffectiveDate is the day on which the registry had this content. It becomes
	// the date of the snapshot, also that of a delta older than its base.
	EffectiveDate saaf.Date
	// Override is why the import is taken although something speaks against it.
	// White space is no reason.
	Override string
	// Now is the time of the import; the zero value is the present.
	Now time.Time
	// Dir is the directory for snapshot files, made with mode 0700 if missing.
	Dir string

	// Base is the active snapshot, which a delta is applied to. It may have an
	// overlay.
	Base *Snapshot
	// BaseSHA256 is the hash of the file that [Snapshot.Base] of Base maps: of the
	// snapshot file, never of an overlay. With it the import of a delta writes an
	// overlay, as long as that does not get too large; and where it must write a
	// whole new file after all, a damaged base is found before its damage is
	// carried on. Without it a delta always makes a whole new file, from a base
	// that is not checked. A Base with an overlay knows the hash by itself; a
	// different one is refused.
	BaseSHA256 saaf.SHA256
	// BaseID names the active snapshot, 0 when there is none.
	BaseID saaf.SnapshotID
	// BaseDate is the effective date of the active snapshot, 0 when there is none.
	BaseDate saaf.Date
	// LastFullActive is how many numbers the last full set had, 0 when there is none.
	LastFullActive int64
	// Applied reports whether a delta with this hash is already in the active
	// snapshot, and since which one. Such a file is passed over. nil knows none.
	Applied func(sha saaf.SHA256) (saaf.SnapshotID, bool)

	// Progress is called from one goroutine at a time, at least once for every megabyte.
	// nil is not called.
	Progress func(Progress)

	// Aside is called at the beginning of each goroutine that works on the import, so
	// that a program can have it stand back behind others. nil is not called.
	Aside func()

	workers int // that read rows; 0 for as many as there are processors
	// For tests.
	whole     bool // a delta makes a whole new file, however few its rows are
	foldLimit int  // entries of an overlay before it becomes a whole file; 0 for the usual
}

// Stage is what an import is at.
type Stage string

// The stages, in their order.
const (
	Hashing Stage = "hashing" // reads files whose hashes must be known before their rows
	Reading Stage = "reading" // reads the rows, and beside them what is not hashed yet
	Writing Stage = "writing" // writes the snapshot file
)

// Progress is how far an import is. The bytes of the first two stages are those of
// all files, as they are on the disk; those of the last are of the snapshot file.
type Progress struct {
	Stage      Stage
	File       string // the one at work, without directories; "" while writing
	BytesDone  int64
	BytesTotal int64
	Rows       int64 // read so far
}

// Run makes the snapshot file. It returns when the file is durable under its name,
// and when there is nothing to do because every file was applied before.
//
// A refused import returns a [saaf.Error] with the word "registry_refused" and the
// report that says why; a wrong call one with the word "invalid". After any error,
// and when the process is killed, no file is left that an [Open] would take, and
// what else is left the next Run in the same directory removes.
func (im *Import) Run(ctx context.Context) (r *Report, err error) {
	if im.Aside == nil {
		return im.run(ctx)
	}
	// Not the goroutine of the caller, who has other things to do afterwards.
	done := inBackground(func() (err error) {
		im.Aside()
		r, err = im.run(ctx)
		return err
	})
	err = done()
	return r, err
}

func (im *Import) run(ctx context.Context) (*Report, error) {
	defer runtime.KeepAlive(im.Base) // the work below reads its mapping
	if err := im.validate(); err != nil {
		return nil, err
	}
	if err := removeLeftovers(im.Dir); err != nil {
		return nil, fmt.Errorf("import registry files: %w", err)
	}
	j := newJob(im)
	defer j.close()
	outline, err := j.build(ctx)
	if err == nil && outline != nil {
		err = j.write(ctx, outline)
	}
	if err != nil && saaf.ErrorCode(err) == saaf.Internal {
		err = fmt.Errorf("import registry files: %w", err)
	}
	return j.report, err
}

func (im *Import) validate() error {
	invalid := func(message string) error {
		return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Message: message}
	}
	switch {
	case im.Mode != saaf.FullSet && im.Mode != saaf.Delta:
		return invalid(fmt.Sprintf("Import mode %q does not exist: use full or delta.", im.Mode))
	case len(im.Files) == 0:
		return invalid("There is no file to import: name at least one.")
	case im.EffectiveDate <= 0:
		return invalid("The effective date is missing: give the day on which the registry had this content.")
	case im.Base != nil && im.Base.overlay != nil && im.BaseSHA256 != (saaf.SHA256{}) && im.BaseSHA256 != im.Base.overlay.base:
		return invalid("The active snapshot belongs to another base file than the one given: import a full set instead.")
	}
	return nil
}

// job is one run of an import.
type job struct {
	*Import
	now     time.Time
	report  *Report
	sources []*source // open files, as the files of the report
	sets    *setTable
	memory  *scratch
	content content

	done, total int64 // bytes on the disk, of the present pass over the files
	crew        crew
	chunks      []*chunk
}

func newJob(im *Import) *job {
	return &job{
		Import: im,
		now:    cmp.Or(im.Now, time.Now()),
		memory: &scratch{dir: im.Dir},
		crew:   crew{cmp.Or(im.workers, min(runtime.GOMAXPROCS(0), maxWorkers)), im.Aside},
		report: &Report{Mode: im.Mode, EffectiveDate: im.EffectiveDate},
	}
}

func (j *job) close() {
	for _, s := range j.sources {
		s.file.Close()
	}
	j.memory.close()
}

// build reads the files and judges what they come to. Without a word against it
// there is an outline to write the content by, nil when there is nothing to do.
func (j *job) build(ctx context.Context) (*outline, error) {
	j.checkDates()
	if err := j.report.judge(j.Override); err != nil { // before much is read in vain
		return nil, err
	}
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	if left := j.skip(); !left {
		return nil, nil
	}
	j.checkOrder()
	if err := j.report.judge(j.Override); err != nil {
		return nil, err
	}
	if err := j.prepare(); err != nil {
		return nil, err
	}
	for i := range j.sources {
		if err := j.read(ctx, i); err != nil {
			return nil, err
		}
	}
	outline, err := j.content.resolve(ctx, j.report)
	if err != nil {
		return nil, err
	}
	j.check(outline)
	if err := j.report.judge(j.Override); err != nil {
		return outline, err
	}
	j.warnOfConsequences()
	return outline, nil
}

// prepare makes the content that the rows go into.
func (j *job) prepare() (err error) {
	j.sets = newSetTable()
	for range j.crew.size + 2 {
		j.chunks = append(j.chunks, &chunk{buf: make([]byte, chunkSize)})
	}
	if j.Mode == saaf.FullSet {
		j.content = newFullSet(j.EffectiveDate, j.sets, j.memory, j.crew)
		return nil
	}
	if j.content, err = newDeltaSet(j.EffectiveDate, j.Base, j.sets, j.memory); err != nil {
		return fmt.Errorf("the active snapshot %w", err)
	}
	return nil
}

// write writes the file of the snapshot and gives it its name.
func (j *job) write(ctx context.Context, o *outline) (err error) {
	if err := fileowner.Mkdir(j.Dir); err != nil {
		return err
	}
	f, err := createTemp(j.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.discard()) }()

	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(&steadyWriter{file: f.File}, sum), bitmapSize) // blocks go past it
	r, err := j.writeTo(ctx, out, o)
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	r.SHA256 = saaf.SHA256(sum.Sum(nil))
	if r.Path, err = f.publish(r.SHA256); err != nil {
		return err
	}
	j.report.Result = r
	return nil
}

// writeTo writes an overlay or a whole snapshot file.
func (j *job) writeTo(ctx context.Context, out io.Writer, o *outline) (r *Result, err error) {
	progress := func(done, total int64) {
		j.progress(Progress{Stage: Writing, BytesDone: done, BytesTotal: total})
	}
	r = &Result{}
	if d, ok := j.content.(*deltaSet); ok {
		if base := j.baseSHA256(); !j.whole && base != (saaf.SHA256{}) && d.entries <= cmp.Or(j.foldLimit, foldLimit) {
			r.BaseSHA256 = base
			r.Info, err = writeOverlay(ctx, out, d, o, base, progress)
			return r, err
		}
		if err := j.checkBase(ctx); err != nil {
			return nil, err
		}
	}
	r.Info, err = write(ctx, out, j.content, o, j.crew, progress)
	return r, err
}

// baseSHA256 is the hash of the base file, zero when it is not known.
func (j *job) baseSHA256() saaf.SHA256 {
	if o := j.Base.overlay; o != nil {
		return o.base
	}
	return j.BaseSHA256
}

// checkBase reports an error when the base file is known to be damaged. It reads
// all of it.
func (j *job) checkBase(ctx context.Context) error {
	want := j.baseSHA256()
	if want == (saaf.SHA256{}) {
		return nil
	}
	got, err := hash(ctx, bytes.NewReader(j.Base.data), make([]byte, chunkSize), func(int) {})
	if err == nil && got != want {
		err = fmt.Errorf("the active snapshot %w", errDamaged)
	}
	return err
}

func (j *job) progress(p Progress) {
	if j.Progress != nil {
		p.Rows = j.report.Total.Rows
		j.Progress(p)
	}
}
