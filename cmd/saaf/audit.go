package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"saaf"
	"saaf/scrub"
	"saaf/store"
	"saaf/web"
)

type auditCmd struct {
	Verify     auditVerifyCmd     `cmd:"" help:"Check that nothing in the ledger was changed, added or removed."`
	Export     auditExportCmd     `cmd:"" help:"Write everything that is known about one number, with its proof."`
	Checkpoint auditCheckpointCmd `cmd:"" help:"Sign the ledger and print the newest checkpoint, to be kept elsewhere."`
}

type auditVerifyCmd struct {
	PublicKey  string   `placeholder:"KEY" help:"Public key that must have signed; without it that of the data directory counts."`
	Checkpoint []string `type:"existingfile" placeholder:"FILE" help:"A checkpoint that was kept elsewhere, as printed; repeat for more."`
	Export     string   `type:"existingfile" placeholder:"FILE" help:"Verify this export instead of the ledger. With --public-key no data directory is needed."`
	Leads      bool     `default:"true" negatable:"" help:"Also hold leads against the entries they name (on by default)."`
	dataFlags
}

func (auditVerifyCmd) Help() string {
	return `Reads the whole ledger. Exits 1 and names the first broken entry when something is wrong, and says how much before it is
good. It may run beside a server.

The newest records could be cut off without a trace together with their checkpoints, and somebody who has signing.pem, or
puts another key in its place, could write everything anew. Against both, keep what saaf audit checkpoint prints with
somebody else and pass it here.

    saaf audit verify
    saaf audit verify --public-key KEY --checkpoint lodged-2026-11-25.txt
    saaf audit verify --export evidence.json --public-key KEY`
}

type auditExportCmd struct {
	Phone  string `required:"" placeholder:"PHONE" help:"Phone number in any spelling that a push takes."`
	Tenant string `required:"" placeholder:"ID" help:"Tenant whose record it is, ten_..."`
	Env    string `default:"live" enum:"live,test" help:"Environment: live or test (${default})."`
	From   string `placeholder:"TIME" help:"From this day in India on, or from a time as 2026-11-25T15:30:00+05:30."`
	To     string `placeholder:"TIME" help:"To the end of this day in India, or before a time."`
	HTML   bool   `name:"html" help:"A page for people, to print, instead of JSON. It has no proof."`
	Output string `type:"path" placeholder:"FILE" help:"Write to this file, readable by its owner alone, instead of standard output. It must not be there."`
	Force  bool   `help:"Replace the file of --output when it is there."`
	dataFlags
}

func (auditExportCmd) Help() string {
	return `The export holds the number that was asked for; other people in it are keyed hashes. Send it with the public key, which
saaf audit checkpoint prints: with both, anybody can run saaf audit verify --export.

    saaf audit export --phone 9876543210 --tenant ten_... --from 2026-11-01 --to 2026-11-30 --output evidence.json
    saaf audit export --phone 9876543210 --tenant ten_... --html --output evidence.html`
}

type auditCheckpointCmd struct{ dataFlags }

func (auditCheckpointCmd) Help() string {
	return `Print it, send it, lodge it: a checkpoint that somebody else has kept proves later that nothing before it was written anew.
--json lists all checkpoints, oldest first.

    saaf audit checkpoint > lodged-` + today() + `.txt`
}

func (c *auditVerifyCmd) Run(ctx context.Context, con *console) error {
	opts := scrub.VerifyOptions{SkipLeads: !c.Leads}
	if c.PublicKey != "" {
		key, err := saaf.DecodeKey(c.PublicKey)
		if err != nil {
			return &usageError{"--public-key: " + err.Error()}
		}
		opts.PublicKey = key
	}
	for _, name := range c.Checkpoint {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		lodged, err := saaf.ParseCheckpoint(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		opts.Lodged = append(opts.Lodged, lodged)
	}
	switch {
	case c.Export != "" && len(c.Checkpoint) > 0:
		return &usageError{"--checkpoint is for the ledger: it cannot be held against an export"}
	case c.Export != "" && opts.PublicKey != nil:
		ev, err := readExport(c.Export, opts.PublicKey)
		if err != nil {
			return err
		}
		return con.result(exportOf(ev), func(w io.Writer) { printExport(w, ev) })
	}
	return c.inspectStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		if c.Export != "" {
			return verifyOwnExport(con, st, c.Export)
		}
		bar := newVerifyBar(con)
		opts.Progress = bar.show
		start := time.Now()
		report, err := scrub.Verify(ctx, st, opts)
		bar.finish()
		if _, broken := errors.AsType[*scrub.Problem](err); err != nil && !broken {
			return err
		}
		return errors.Join(con.result(report, func(w io.Writer) { printVerified(w, &report, time.Since(start)) }), err)
	})
}

func printVerified(w io.Writer, r *scrub.VerifyReport, took time.Duration) {
	good := "The ledger is whole: "
	if len(r.Problems) > 0 {
		good = "Good as far as they go: "
	}
	fmt.Fprintf(w, "%s%s with %s, read in %s.\n", good, counted(int(r.Entries), "entry", "entries"),
		counted(int(r.Decisions), "decision", "decisions"), took.Round(time.Millisecond))
	if r.Entries > 0 {
		fmt.Fprintf(w, "%-12s %s, seq %d, hash %s\n", "last entry", r.Head.Entry, r.Head.Seq, r.Head.Hash)
	}
	signed := fmt.Sprintf("up to seq %d", r.Signed)
	if several := int64(len(r.Chains)) + r.Ended; several > 1 {
		fmt.Fprintf(w, "%-12s %s, one for each process and writer; %s ended\n", "chains", thousands(several), thousands(r.Ended))
		signed = counted(int(r.Signed), "entry signed", "entries signed")
	}
	fmt.Fprintf(w, "%-12s %s, %s", "checkpoints", thousands(r.Checkpoints), signed)
	if behind := r.Entries - r.Signed; behind > 0 {
		fmt.Fprintf(w, "; %s not signed yet", counted(int(behind), "entry behind it is", "entries behind it are"))
	}
	fmt.Fprintln(w)
	if r.Lodged > 0 {
		fmt.Fprintf(w, "%-12s %s found unchanged\n", "lodged", counted(r.Lodged, "checkpoint", "checkpoints"))
	}
	if r.Leads > 0 {
		fmt.Fprintf(w, "%-12s %s", "leads", counted(int(r.Leads), "lead names its entries", "leads name their entries"))
		if r.Unnamed > 0 {
			fmt.Fprintf(w, "; %s before there was a ledger", counted(int(r.Unnamed), "came in", "came in"))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%-12s %s\n", "public key", r.PublicKey)
	for i := 1; i < len(r.Problems); i++ { // the first is the error
		fmt.Fprintf(w, "also: %v\n", &r.Problems[i])
	}
}

// exportView is what is printed of an export that was verified.
type exportView struct {
	Verified    bool             `json:"verified"`
	Phone       string           `json:"phone"`
	Tenant      saaf.TenantID    `json:"tenant_id"`
	Environment saaf.Environment `json:"environment"`
	Decisions   int              `json:"decisions"`
	Facts       int              `json:"facts"`
	Entries     int              `json:"entries"`
}

func exportOf(ev *scrub.Evidence) exportView {
	return exportView{true, ev.Phone, ev.Tenant, ev.Environment, len(ev.Decisions), len(ev.Facts), len(ev.Proof.Entries)}
}

func printExport(w io.Writer, ev *scrub.Evidence) {
	fmt.Fprintf(w, "What the export says is genuine: %s and %s about %s stand in %s that %s signed.\n",
		counted(len(ev.Decisions), "decision", "decisions"), counted(len(ev.Facts), "change", "changes"), ev.Phone,
		counted(len(ev.Proof.Entries), "entry", "entries"), ev.Deployment)
	fmt.Fprintln(w, "What it copies from the store beside that (leads, rows of lists and registers) is not signed.")
}

func readExport(name string, key ed25519.PublicKey) (*scrub.Evidence, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ev, err := scrub.ReadEvidence(f, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return ev, nil
}

// verifyOwnExport verifies an export of this deployment, which alone can also tell
// that the hash in it is that of the number.
func verifyOwnExport(con *console, st *store.Store, name string) error {
	ev, err := readExport(name, st.PublicKey())
	if err != nil {
		return err
	}
	phone, reason := saaf.PhonePolicy{FixedLines: true}.Parse(ev.Phone)
	if reason != saaf.ReasonNone || st.Hasher(ev.Tenant).Hash(phone) != ev.PhoneHash || st.Hasher(0).Hash(phone) != ev.DeploymentHash {
		return fmt.Errorf("%s: the record is whole, but it is not about the number that it names", name)
	}
	return con.result(exportOf(ev), func(w io.Writer) { printExport(w, ev) })
}

func (c *auditExportCmd) Run(ctx context.Context, con *console) error {
	req := scrub.EvidenceRequest{Environment: saaf.Environment(c.Env)}
	var err error
	if req.Tenant, req.Phone, err = tenantAndPhone(c.Tenant, c.Phone); err != nil {
		return err
	}
	if req.From, err = scrub.ParseEvidenceFrom(c.From); err != nil {
		return &usageError{"--from: " + err.Error()}
	}
	if req.To, err = scrub.ParseEvidenceTo(c.To); err != nil {
		return &usageError{"--to: " + err.Error()}
	}
	if !req.To.IsZero() && !req.To.After(req.From) {
		return &usageError{"--to must be after --from: evidence is shown from the one on and before the other"}
	}
	if c.HTML && con.json {
		return &usageError{"--html and --json are two forms of the same: choose one"}
	}
	return c.inspectStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		tenants, err := st.Tenants(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(tenants, func(t saaf.Tenant) bool { return t.ID == req.Tenant }) {
			return errors.New("Tenant not found; saaf tenant list shows those there are") //lint:ignore ST1005 as the API says it
		}
		ev, err := scrub.NewEvidence(ctx, st, req)
		if err != nil {
			return err
		}
		return c.write(con, ev)
	})
}

// write writes the export where it is wanted.
func (c *auditExportCmd) write(con *console, ev *scrub.Evidence) error {
	form := func(w io.Writer) error { return (&console{out: w, json: true}).result(ev, nil) }
	if c.HTML {
		form = ev.WriteHTML
	}
	if c.Output == "" {
		return form(con.out)
	}
	how := os.O_EXCL
	if c.Force {
		how = os.O_TRUNC
	}
	f, err := os.OpenFile(c.Output, os.O_CREATE|how|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the file %s is there already: name another one, or replace it with --force", c.Output)
	}
	if err != nil {
		return err
	}
	// The mode of a file that was there before is not ours.
	if err := errors.Join(f.Chmod(0o600), form(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if con.json {
		return con.result(struct {
			File      string `json:"file"`
			Decisions int    `json:"decisions"`
			Facts     int    `json:"facts"`
		}{c.Output, len(ev.Decisions), len(ev.Facts)}, nil)
	}
	fmt.Fprintf(con.err, "Wrote %s: %s, %s.\n", c.Output, counted(len(ev.Decisions), "decision", "decisions"), counted(len(ev.Facts), "change of a list", "changes of lists"))
	return nil
}

// checkpointView is a checkpoint as the command lists it.
type checkpointView struct {
	Seq     int64       `json:"seq"`
	At      string      `json:"at"`
	Entries int64       `json:"entries"` // that it signs, with those of chains that have ended
	Hash    saaf.SHA256 `json:"hash"`
	Printed string      `json:"printed"` // what saaf audit verify --checkpoint reads
}

func (c *auditCheckpointCmd) Run(ctx context.Context, con *console) error {
	return c.inspectStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		if _, err := st.Checkpoint(ctx); err != nil {
			return err
		}
		last, seq, err := st.LastCheckpoint(ctx)
		if err != nil {
			return err
		}
		if con.json {
			return listCheckpoints(ctx, con, st)
		}
		if seq == 0 {
			return errors.New("there is nothing to sign yet: the ledger is empty")
		}
		fmt.Fprintf(con.out, "%spublic key %s\n", strings.TrimRight(last.String(), "\n")+"\n", saaf.EncodeKey(st.PublicKey()))
		return nil
	})
}

// listCheckpoints lists all checkpoints of the store.
func listCheckpoints(ctx context.Context, con *console, st *store.Store) error {
	view := struct {
		PublicKey   string           `json:"public_key"`
		Checkpoints []checkpointView `json:"checkpoints"`
	}{saaf.EncodeKey(st.PublicKey()), []checkpointView{}}
	signed, entries := map[int64]int64{}, int64(0) // up to which seq of each chain, those too that have ended; and together
	for after := int64(0); ; {
		page, err := st.CheckpointsAfter(ctx, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return con.result(view, nil)
		}
		for i := range page {
			c, err := page[i].Open(st.PublicKey())
			if err != nil {
				return fmt.Errorf("checkpoint %d: %w; saaf audit verify says more", page[i].Seq, err)
			}
			for _, head := range c.Heads {
				entries += head.Seq - signed[head.Writer]
				signed[head.Writer] = head.Seq
			}
			view.Checkpoints = append(view.Checkpoints, checkpointView{Seq: c.Seq, At: c.At.Format(web.TimeLayout), Entries: entries,
				Hash: page[i].Hash(), Printed: page[i].String()})
		}
		after = page[len(page)-1].Seq
	}
}
