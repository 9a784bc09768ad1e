package bench

import "fmt"

// Row is one figure of a target, beside its limit.
type Row struct {
	Target int      `json:"target"` // its number in docs/performance.md
	Name   string   `json:"name"`   // a stable word
	Engine string   `json:"engine"` // embedded, postgres, or "" where no store is asked
	What   string   `json:"what"`
	Unit   string   `json:"unit"`
	Value  float64  `json:"value"`
	Limit  *float64 `json:"limit"` // measured in the same run, in the same unit; null where there is none
	Ratio  *float64 `json:"ratio"` // Value to Limit
	Floor  *float64 `json:"floor"` // of Ratio where there is one, else of Value; null for what is only told
	Sense  string   `json:"sense"` // ">=" or "<=": how Ratio or Value must stand to Floor; "" without
	OK     *bool    `json:"ok"`    // null for what is only told
	Note   string   `json:"note"`
}

const (
	atLeast = ">="
	atMost  = "<="
)

// row is a value that has neither a limit nor a floor.
func row(target int, name, what string, value float64, unit string) Row {
	return Row{Target: target, Name: name, What: what, Value: value, Unit: unit}
}

// of names the engine.
func (r Row) of(engine string) Row {
	r.Engine = engine
	return r
}

// beside gives the row the limit that was measured.
func (r Row) beside(limit float64) Row {
	ratio := r.Value / limit
	r.Limit, r.Ratio = &limit, &ratio
	return r
}

// must gives the row its floor, and judges it.
func (r Row) must(sense string, floor float64) Row {
	v := r.Value
	if r.Ratio != nil {
		v = *r.Ratio
	}
	ok := v >= floor
	if sense == atMost {
		ok = v <= floor
	}
	r.Sense, r.Floor, r.OK = sense, &floor, &ok
	return r
}

func (r Row) noted(format string, args ...any) Row {
	r.Note = fmt.Sprintf(format, args...)
	return r
}

// rowOf is a measure of the registry as a row.
func (m Measure) rowOf(target int) Row {
	r := Row{Target: target, Name: m.Name, What: m.What, Value: m.Value, Unit: m.Unit, Limit: m.Base, Ratio: m.Ratio, Note: m.Note}
	if m.Most != nil {
		r = r.must(atMost, *m.Most)
	}
	return r
}

// Report is what a run has found.
type Report struct {
	Leads    int64    `json:"leads"`
	Numbers  int64    `json:"numbers"`
	Rows     []Row    `json:"rows"`
	Verified bool     `json:"verified"` // everything that was stored is as it must be
	Problems []string `json:"problems"` // what is not, the first of each kind
}
