package api

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"time"

	"saaf"
	"saaf/scrub"
	"saaf/store"
	"saaf/web"
)

// importRegistry is POST /dnd/registry:import: the raw body, whatever its size and
// its type, unless that is a form, is put on the disk and its import queued.
func (a *API) importRegistry(c *call) error {
	if kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		// Its boundaries would be read as rows, and its hash kept for that of the file.
		return &saaf.Error{Code: saaf.UnsupportedType, Word: "unsupported_type",
			Message: "A form is not read here; send the file itself as the body, with curl: --data-binary @FILE"}
	}
	req, err := readImport(c.r, time.Now())
	if err != nil {
		return err
	}
	req.By = c.by()
	body := web.NewStream(c.w, c.r, a.idle)
	im, err := a.scrub.Upload(c.r.Context(), req, body)
	body.Answering()
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusAccepted, map[string]any{"id": im.ID, "state": im.State})
}

// readImport reads what the query says of an import.
func readImport(r *http.Request, now time.Time) (req scrub.UploadRequest, err error) {
	q := queryOf(r, "mode", "effective_date", "override")
	q.require("mode", "say mode=full for a whole set or mode=delta for changes")
	q.require("effective_date", "say for which day the file speaks: effective_date=YYYY-MM-DD")
	q.parse("mode", func(s string) error {
		switch req.Mode = saaf.ImportMode(s); req.Mode {
		case saaf.FullSet, saaf.Delta:
			return nil
		}
		return fmt.Errorf("ensure this value is full or delta")
	})
	q.parse("effective_date", func(s string) (err error) {
		if req.EffectiveDate, err = saaf.ParseDate(s); err != nil {
			return err
		}
		if today := saaf.DateOf(now); req.EffectiveDate > today {
			return fmt.Errorf("the effective date %v is after today, %v in India: no override lifts that", req.EffectiveDate, today)
		}
		return nil
	})
	req.Override = q.reason("override")
	return req, q.err()
}

// importView is an import of registry files.
type importView struct {
	ID            saaf.RegistryImportID `json:"id"`
	State         store.ImportState     `json:"state"`
	Mode          saaf.ImportMode       `json:"mode"`
	EffectiveDate saaf.Date             `json:"effective_date"`
	Override      any                   `json:"override"`
	Stage         any                   `json:"stage"`
	BytesTotal    int64                 `json:"bytes_total"` // of the stage
	BytesDone     int64                 `json:"bytes_done"`
	Rows          int64                 `json:"rows"`
	RowsActive    int64                 `json:"rows_active"`  // A
	RowsDeleted   int64                 `json:"rows_deleted"` // D
	Malformed     int64                 `json:"malformed"`
	Conflicts     int64                 `json:"conflicts"`
	Warnings      []string              `json:"warnings"`
	Refusals      []store.Refusal       `json:"refusals"`
	Problem       any                   `json:"problem"`
	SnapshotID    any                   `json:"snapshot_id"`
	CreatedAt     string                `json:"created_at"`
	FinishedAt    any                   `json:"finished_at"`
}

// getImport is GET /dnd/registry/imports/{import_id}.
func (a *API) getImport(c *call) error {
	id, _ := saaf.ParseID[saaf.RegistryImportID](c.r.PathValue("import_id")) // 0, which none has, when it is no id
	im, err := a.store.RegistryImport(c.r.Context(), id)
	if err != nil {
		return err
	}
	v := importView{
		ID: im.ID, State: im.State, Mode: im.Mode, EffectiveDate: im.EffectiveDate, Override: nullable(im.Override),
		Stage: nullable(im.Stage), BytesTotal: im.BytesTotal, BytesDone: im.BytesDone,
		Rows: im.Rows, RowsActive: im.RowsActive, RowsDeleted: im.RowsDeleted, Malformed: im.Malformed, Conflicts: im.Conflicts,
		Warnings: append([]string{}, im.Warnings...), Refusals: append([]store.Refusal{}, im.Refusals...), Problem: nullable(im.Problem),
		SnapshotID: nullable(im.SnapshotID), CreatedAt: im.CreatedAt.Format(web.TimeLayout), FinishedAt: optionalTime(im.FinishedAt),
	}
	waits, err := a.waitsFor(c.r.Context(), &im)
	if err != nil {
		return err
	}
	if waits {
		v.State, v.Stage, v.FinishedAt = store.ImportRunning, "loading", nil
		v.Warnings = append(v.Warnings, a.scrub.Status(time.Now()).Warnings...)
	}
	return web.WriteJSON(c.w, http.StatusOK, v)
}

// waitsFor reports whether an import has activated its snapshot and this process
// does not answer from that yet.
func (a *API) waitsFor(ctx context.Context, im *store.RegistryImport) (bool, error) {
	if im.State != store.ImportCompleted || im.SnapshotID == a.scrub.Status(time.Now()).ID {
		return false, nil
	}
	reg, err := a.store.Registry(ctx)
	if err != nil || reg.Active == nil || reg.Active.ID != im.SnapshotID {
		return false, err // another one is active by now
	}
	return a.scrub.Status(time.Now()).ID != im.SnapshotID, nil
}

// optionalTime is the time as the API writes it, null for none.
func optionalTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format(web.TimeLayout)
}
