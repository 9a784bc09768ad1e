package scrubber

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"saaf"
)

// Config is how one outside checker is asked and understood. [Load] reads it from
// a file; docs/scrubber.example.json shows one.
type Config struct {
	Name         string                 // shown in evidence as the source of a finding
	Mode         saaf.SourceMode        // beside the registry file, or instead of it
	URL          string                 // https; http only for this machine
	Method       string                 // POST or PUT
	Headers      map[string]saaf.Secret // sent with every request
	Batch        int                    // numbers in one request, 1 to 500
	Parallel     int                    // requests at the same time, 1 to 16
	Timeout      time.Duration          // for one batch with all its attempts, 100 ms to 30 s
	Retries      int                    // attempts after the first, 0 to 5
	Breaker      Breaker
	MaxAge       time.Duration // how long a clean finding counts, 1 minute to 168 h
	AllowPrivate bool          // a host name may resolve to a private or loopback address
	Request      Request
	Response     Response
}

// Breaker says when the checker is left alone for a while.
type Breaker struct {
	Failures int           // failed batches in a row that open it, 1 to 100
	CoolDown time.Duration // how long it stays open before one batch is let through, 1 s to 1 h
}

// Request says what is sent.
type Request struct {
	Phone PhoneFormat
	Body  json.RawMessage // JSON in which the string "$phones" stands for the list of numbers
}

// Response says how an answer is read. The three paths are member names separated
// by dots.
type Response struct {
	Results string // to the entries; empty when the answer itself holds them
	Phone   string // in an entry, to its number; empty when the entries are the members of an object, named by number
	Verdict string // in an entry, to its verdict; empty when the entry is the verdict
	Clean   []Scalar
	Blocked []Scalar // full block
	Partial []Scalar // block of some categories; may be empty
}

// PhoneFormat is how numbers are written in a request.
type PhoneFormat string

// The formats of a number.
const (
	National PhoneFormat = "national" // 9876543210
	E164     PhoneFormat = "e164"     // +919876543210
	Plain91  PhoneFormat = "91"       // 919876543210
)

func (f PhoneFormat) appendTo(dst []byte, p saaf.Phone) []byte {
	switch f {
	case E164:
		dst = append(dst, "+91"...)
	case Plain91:
		dst = append(dst, "91"...)
	}
	return p.AppendNational(dst)
}

// defaults is what a file that leaves members out gets.
func defaults() Config {
	return Config{
		Method:   "POST",
		Batch:    100,
		Parallel: 2,
		Timeout:  5 * time.Second,
		Retries:  2,
		Breaker:  Breaker{Failures: 5, CoolDown: 30 * time.Second},
		MaxAge:   24 * time.Hour,
		Request:  Request{Phone: National},
	}
}

var (
	nameShape   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)
	headerShape = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	// ownHeaders are written by HTTP or by this package, or would change who answers.
	ownHeaders = regexp.MustCompile(`(?i)^(host|content-.*|transfer-encoding|connection|keep-alive|trailer|te|upgrade|expect|accept|accept-encoding|range|if-.*|proxy-.*)$`)
)

// Validate reports every mistake, each as a sentence that names the member and
// says what to write.
func (c *Config) Validate() error {
	var m mistakes
	m.check(nameShape.MatchString(c.Name) && c.Name != "file", "name",
		`write one word of at most 40 small letters, digits, "-" and "_" that names the checker; "file" is the registry file`)
	_, err := saaf.ParseSourceMode(string(c.Mode))
	m.check(err == nil, "mode", `write "beside" (the registry file must answer too) or "instead" (the checker alone answers)`)
	m.add("url", checkURL(c.URL))
	m.check(c.Method == "POST" || c.Method == "PUT", "method", `write "POST" or "PUT"`)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		m.add("headers", checkHeader(name, string(c.Headers[name])))
	}
	m.count("batch", c.Batch, 1, 500)
	m.count("parallel", c.Parallel, 1, 16)
	m.duration("timeout", c.Timeout, 100*time.Millisecond, 30*time.Second)
	m.count("retries", c.Retries, 0, 5)
	m.count("breaker.failures", c.Breaker.Failures, 1, 100)
	m.duration("breaker.cool_down", c.Breaker.CoolDown, time.Second, time.Hour)
	m.duration("max_age", c.MaxAge, time.Minute, 168*time.Hour)
	m.check(slices.Contains([]PhoneFormat{National, E164, Plain91}, c.Request.Phone), "request.phone",
		`write "national" (9876543210), "e164" (+919876543210) or "91" (919876543210)`)
	_, err = newTemplate(c.Request)
	m.add("request.body", err)
	c.Response.validate(&m)
	return m.err()
}

func (r *Response) validate(m *mistakes) {
	for _, p := range []struct{ member, path string }{
		{"response.results", r.Results}, {"response.phone", r.Phone}, {"response.verdict", r.Verdict},
	} {
		m.check(p.path == "" || !slices.Contains(newPath(p.path), ""), p.member,
			"write member names separated by single dots, for instance data.results")
	}
	m.check(r.Phone == "" || r.Verdict != "", "response.verdict",
		"write the member of an entry that holds its verdict; only an object named by number can go without")
	m.check(r.Phone == "" || r.Phone != r.Verdict, "response.verdict", "write another member than that of the number")
	m.check(len(r.Clean) > 0, "response.clean", "list at least one value, or no number can ever be clean")
	m.check(!slices.Contains(r.Clean, Scalar{'"', ""}), "response.clean",
		`take "" out of the list: a verdict that was left empty says nothing`)
	m.check(len(r.Blocked) > 0, "response.blocked", "list at least one value, or no number can ever be blocked")
	seen := map[Scalar]bool{}
	for _, v := range slices.Concat(r.Clean, r.Blocked, r.Partial) {
		m.check(!seen[v], "response", "list the value "+v.String()+" once, in clean, blocked or partial")
		seen[v] = true
	}
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("write the whole address of the checker, for instance https://scrub.example.com/v1/check")
	case u.User != nil:
		return errors.New("take the user and the password out of the address and send them in a header that comes from a file")
	case u.Fragment != "":
		return errors.New("take the part behind # out of the address")
	case u.Scheme == "http" && isThisMachine(u.Hostname()), u.Scheme == "https":
		return checkHost(u.Hostname())
	}
	return errors.New("use https; http is possible only for localhost and loopback addresses")
}

func checkHeader(name, value string) error {
	switch {
	case !headerShape.MatchString(name):
		return fmt.Errorf("%q is not the name of a header: use letters, digits and hyphens", name)
	case ownHeaders.MatchString(name):
		return fmt.Errorf("take %s out: it is set by saaf itself or not allowed", name)
	case value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Errorf("the value of %s must be one line of ASCII text that is not empty", name)
	}
	return nil
}

// mistakes collects what is wrong with a configuration.
type mistakes []error

func (m *mistakes) add(member string, err error) {
	if err != nil {
		*m = append(*m, fmt.Errorf("%s: %w", member, err))
	}
}

func (m *mistakes) check(ok bool, member, advice string) {
	if !ok {
		m.add(member, errors.New(advice))
	}
}

func (m *mistakes) count(member string, n, least, most int) {
	m.check(least <= n && n <= most, member, fmt.Sprintf("write a whole number from %d to %d; it is %d", least, most, n))
}

func (m *mistakes) duration(member string, d, least, most time.Duration) {
	m.check(least <= d && d <= most, member, fmt.Sprintf("write a duration from %v to %v, for instance %q; it is %v", least, most, most, d))
}

func (m *mistakes) err() error { return errors.Join(*m...) }
