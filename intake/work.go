package intake

import (
	"sync"

	"saaf"
	"saaf/store"
)

// work is what a push needs between its rows and the store. A later push uses the same
// memory: the store reads and writes it until [store.Store.AddLeads] returns, and no
// longer, and an outside checker gets copies of the numbers.
type work struct {
	leads    []store.NewLead
	places   []int // where in the request each of leads stands, of a bulk push
	phones   []saaf.Phone
	verdicts []saaf.Verdict
}

var works = sync.Pool{New: func() any { return new(work) }}

func newWork() *work { return works.Get().(*work) }

// release ends the use of w.
func (w *work) release() {
	clear(w.leads) // they point to the body of the request
	clear(w.verdicts)
	w.leads, w.places, w.phones, w.verdicts = w.leads[:0], w.places[:0], w.phones[:0], w.verdicts[:0]
	works.Put(w)
}
