package apptest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Checker is an outside checker on this machine. It finds every number clean of
// which it was not told something else.
type Checker struct {
	server *httptest.Server

	mu    sync.Mutex
	says  map[string]string // by national number
	fail  http.HandlerFunc
	asked []string
}

// NewChecker starts a checker; Close ends it.
func NewChecker() *Checker {
	c := &Checker{says: map[string]string{}}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	return c
}

// Close ends the checker.
func (c *Checker) Close() { c.server.Close() }

// Say sets what is found about a number: clean, full, partial, or something that no
// configuration knows.
func (c *Checker) Say(number, word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.says[number] = word
}

// Fail has every request answered by h from now on, after its body is read; nil
// lets the checker answer again.
func (c *Checker) Fail(h http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = h
}

// Asked returns the numbers that were asked about since the last call, sorted, as
// often as they came.
func (c *Checker) Asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	slices.Sort(asked)
	return asked
}

func (c *Checker) serve(w http.ResponseWriter, r *http.Request) {
	var numbers []string
	if err := json.NewDecoder(r.Body).Decode(&numbers); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.asked = append(c.asked, numbers...)
	fail := c.fail
	answer := make(map[string]string, len(numbers))
	for _, n := range numbers {
		if answer[n] = c.says[n]; answer[n] == "" {
			answer[n] = "clean"
		}
	}
	c.mu.Unlock()
	if fail != nil {
		fail(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone is none of our business
}

// Config writes a configuration for the checker, named dlt, into dir and returns
// its file. change replaces members of the whole.
func (c *Checker) Config(dir, mode string, change map[string]any) (file string, err error) {
	members := map[string]any{
		"name": "dlt", "mode": mode, "url": c.server.URL, "timeout": "5s", "retries": 0,
		"request":  map[string]any{"body": "$phones"},
		"response": map[string]any{"clean": []string{"clean"}, "blocked": []string{"full"}, "partial": []string{"partial"}},
	}
	maps.Copy(members, change)
	text, err := json.Marshal(members)
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "scrubber.json")
	return file, os.WriteFile(file, text, 0o600)
}
