package main

import (
	"fmt"
	"sync"
)

// facts is what the clients of a server under load know: what was answered, and what was
// asked and got no answer. All that is stored must follow from it.
type facts struct {
	mu      sync.Mutex
	faults  []string
	leads   map[string]map[int64]string // campaign, phone: the lead that was answered
	owners  map[string]leadKey          // of every lead id that was ever answered
	given   map[string]bool             // lead ids that were answered to the push that made them
	maybe   []askedPush                 // pushes without an answer
	erasing []int64                     // erasures without an answer
	blocked map[int64]bool              // opt-outs: true when answered, false when only asked
	deleted map[string]bool             // campaigns: likewise
	answers int                         // of pushes
	lost    int                         // pushes without an answer that were found stored
}

type leadKey struct {
	campaign string
	phone    int64
}

// askedPush is a push without an answer. The fresh phones were sent by nobody else, so that
// they are stored all or not at all.
type askedPush struct {
	campaign string
	phones   []int64
	fresh    []int64
}

func newFacts() *facts {
	return &facts{leads: map[string]map[int64]string{}, owners: map[string]leadKey{}, given: map[string]bool{}, blocked: map[int64]bool{}, deleted: map[string]bool{}}
}

// fault notes that something is not as it must be.
func (f *facts) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrong(format, args...)
}

// wrong is fault with mu locked.
func (f *facts) wrong(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

// stored takes an answer that names the lead of a phone, which is new or was there.
func (f *facts) stored(campaign string, phone int64, id string, isNew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.leads[campaign]
	if of == nil {
		of = make(map[int64]string)
		f.leads[campaign] = of
	}
	key := leadKey{campaign, phone}
	owner, used := f.owners[id]
	switch known := of[phone]; {
	case used && owner != key:
		f.wrong("%s was the id of %v, and is named for %v", id, owner, key)
	case isNew && f.given[id]:
		f.wrong("%s, of %v, was made twice", id, key)
	case known != "" && known != id:
		f.wrong("%v was answered with %s and with %s", key, known, id)
	}
	of[phone], f.owners[id], f.given[id] = id, key, isNew || f.given[id]
}

func (f *facts) pushAnswered() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers++
}

func (f *facts) pushUnanswered(p askedPush) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.maybe = append(f.maybe, p)
}

// gone takes the answer that all leads of a phone were erased.
func (f *facts) gone(phone int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, of := range f.leads {
		delete(of, phone)
	}
}

func (f *facts) eraseUnanswered(phone int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.erasing = append(f.erasing, phone)
}

func (f *facts) optOut(phone int64, answered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked[phone] = answered
}

func (f *facts) campaignGone(campaign string, answered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deleted[campaign] = answered
	if answered {
		delete(f.leads, campaign)
	}
}
