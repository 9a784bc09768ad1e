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
	"os"
	"runtime"
	"time"

	"saaf"
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

	// Base is the active snapshot, which a delta is applied to.
	Base *Snapshot
	// BaseSHA256 is the hash of the file of Base. When it is set, a damaged base is
	// found before a delta carries its damage on.
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

	// Progress is called from the goroutine of Run, about every megabyte. nil is
	// not called.
	Progress func(Progress)
}

// Stage is what an import is at.
type Stage string

// The stages, in their order.
const (
	Hashing Stage = "hashing" // reads the files once for their hashes
	Reading Stage = "reading" // reads their rows
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
func (im *Import) Run(ctx context.Context) (*Report, error) {
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
	content content

	done, total int64  // bytes on the disk, of the present pass over the files
	buf         []byte // the chunk at work
	rows        []row  // in it
}

func newJob(im *Import) *job {
	return &job{
		Import: im,
		now:    cmp.Or(im.Now, time.Now()),
		buf:    make([]byte, chunkSize),
		report: &Report{Mode: im.Mode, EffectiveDate: im.EffectiveDate},
	}
}

func (j *job) close() {
	for _, s := range j.sources {
		s.file.Close()
	}
	if j.content != nil {
		j.content.close()
	}
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
	if err := j.prepare(ctx); err != nil {
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
	return outline, j.report.judge(j.Override)
}

// prepare makes the content that the rows go into.
func (j *job) prepare(ctx context.Context) (err error) {
	j.sets = newSetTable()
	if j.Mode == saaf.FullSet {
		j.content = newFullSet(j.EffectiveDate, j.sets)
		return nil
	}
	if j.BaseSHA256 != (saaf.SHA256{}) {
		got, err := hash(ctx, bytes.NewReader(j.Base.data), j.buf, func(int) {})
		if err != nil {
			return err
		}
		if got != j.BaseSHA256 {
			return fmt.Errorf("the active snapshot %w", errDamaged)
		}
	}
	content, err := newDeltaSet(j.EffectiveDate, j.Base, j.sets)
	if err != nil {
		return fmt.Errorf("the active snapshot %w", err)
	}
	j.content = content
	return nil
}

// write writes the snapshot file and gives it its name.
func (j *job) write(ctx context.Context, o *outline) (err error) {
	if err := os.MkdirAll(j.Dir, 0o700); err != nil {
		return err
	}
	f, err := createTemp(j.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.discard()) }()

	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, sum), bitmapSize) // blocks go past it
	info, err := write(ctx, out, j.content, o, func(done, total int64) {
		j.progress(Progress{Stage: Writing, BytesDone: done, BytesTotal: total})
	})
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	r := &Result{SHA256: saaf.SHA256(sum.Sum(nil)), Info: info}
	if r.Path, err = f.publish(r.SHA256); err != nil {
		return err
	}
	j.report.Result = r
	return nil
}

func (j *job) progress(p Progress) {
	if j.Progress != nil {
		p.Rows = j.report.Total.Rows
		j.Progress(p)
	}
}
