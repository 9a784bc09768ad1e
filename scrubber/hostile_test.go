package scrubber

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"saaf"
)

// good is the answer that every hostile one below is a change of: it makes ann
// clean and bob blocked.
const good = `{"data": {"results": [{"number": "6000000001", "status": "ok"}, {"number": "6000000002", "status": "dnd"}]}}`

// hostileBodies are answers with status 200 none of which makes ann clean.
var hostileBodies = map[string]string{
	"empty":                        ``,
	"white space":                  " \n",
	"null":                         `null`,
	"true":                         `true`,
	"a text":                       `"ok"`,
	"a number":                     `0`,
	"ok for all":                   `{"status": "ok"}`,
	"an error":                     `{"error": "backend unavailable"}`,
	"HTML":                         `<html><body>ok</body></html>`,
	"XML":                          `<results><r number="6000000001" status="ok"/></results>`,
	"CSV":                          "6000000001,ok\n6000000002,dnd\n",
	"cut short by a byte":          good[:len(good)-1],
	"cut short in the middle":      good[:len(good)/2],
	"cut short after ann":          good[:strings.Index(good, "}")+1],
	"something behind":             good + `x`,
	"two values":                   good + good,
	"two values, the second a no":  good + strings.ReplaceAll(good, "ok", "dnd"),
	"byte order mark":              "\uFEFF" + good,
	"NUL behind":                   good + "\x00",
	"broken UTF-8":                 strings.ReplaceAll(good, `"dnd"`, "\"\xff\""),
	"UTF-16":                       utf16(good),
	"single quotes":                strings.ReplaceAll(good, `"`, `'`),
	"a comment":                    good + `// done`,
	"a comma too much":             strings.ReplaceAll(good, `}]`, `},]`),
	"no results":                   `{"data": {}}`,
	"results null":                 `{"data": {"results": null}}`,
	"results a text":               `{"data": {"results": "ok"}}`,
	"results an object":            `{"data": {"results": {"6000000001": "ok"}}}`,
	"results empty":                `{"data": {"results": []}}`,
	"data a list":                  `{"data": [{"results": [{"number": "6000000001", "status": "ok"}]}]}`,
	"data null":                    `{"data": null}`,
	"results in another place":     `{"results": [{"number": "6000000001", "status": "ok"}]}`,
	"results under a dotted name":  `{"data.results": [{"number": "6000000001", "status": "ok"}]}`,
	"Results":                      strings.ReplaceAll(good, "results", "Results"),
	"Data":                         strings.ReplaceAll(good, "data", "Data"),
	"results twice":                `{"data": {"results": [{"number": "6000000001", "status": "dnd"}], "results": [{"number": "6000000001", "status": "ok"}]}}`,
	"data twice":                   `{"data": {"results": []}, ` + good[1:],
	"only bob":                     `{"data": {"results": [{"number": "6000000002", "status": "ok"}]}}`,
	"another number beside":        strings.ReplaceAll(good, `]}}`, `, {"number": "6000000009", "status": "ok"}]}}`),
	"another number instead":       strings.ReplaceAll(good, "6000000001", "6000000009"),
	"masked number":                strings.ReplaceAll(good, "6000000001", "xxxxxx0001"),
	"shortened number":             strings.ReplaceAll(good, "6000000001", "600000000"),
	"number of another country":    strings.ReplaceAll(good, "6000000001", "+16000000001"),
	"number null":                  strings.ReplaceAll(good, `"6000000001"`, `null`),
	"number a float":               strings.ReplaceAll(good, `"6000000001"`, `6000000001.0`),
	"number in a fraction":         strings.ReplaceAll(good, `"6000000001"`, `600000.0001`),
	"number in an exponent":        strings.ReplaceAll(good, `"6000000001"`, `6.000000001e9`),
	"number negative":              strings.ReplaceAll(good, `"6000000001"`, `-6000000001`),
	"number a list":                strings.ReplaceAll(good, `"6000000001"`, `["6000000001"]`),
	"number missing":               strings.ReplaceAll(good, `"number": "6000000001", `, ``),
	"Number":                       strings.ReplaceAll(good, `"number"`, `"Number"`),
	"number twice":                 strings.ReplaceAll(good, `"number": "6000000001"`, `"number": "6000000002", "number": "6000000001"`),
	"number of bob unreadable":     strings.ReplaceAll(good, `"6000000002"`, `"?"`),
	"order instead of numbers":     `{"data": {"results": ["ok", "ok"]}}`,
	"an entry that is null":        strings.ReplaceAll(good, `]}}`, `, null]}}`),
	"an entry in a list":           `{"data": {"results": [[{"number": "6000000001", "status": "ok"}]]}}`,
	"verdict missing":              strings.ReplaceAll(good, `, "status": "ok"`, ``),
	"verdict null":                 strings.ReplaceAll(good, `"ok"`, `null`),
	"verdict empty":                strings.ReplaceAll(good, `"ok"`, `""`),
	"verdict OK":                   strings.ReplaceAll(good, `"ok"`, `"OK"`),
	"verdict with a space":         strings.ReplaceAll(good, `"ok"`, `"ok "`),
	"verdict with a NUL":           strings.ReplaceAll(good, `"ok"`, `"ok\u0000"`),
	"verdict unknown":              strings.ReplaceAll(good, `"ok"`, `"pending"`),
	"verdict an error":             strings.ReplaceAll(good, `"ok"`, `"not ok"`),
	"verdict 0.0":                  strings.ReplaceAll(good, `"ok"`, `0.0`),
	"verdict -0":                   strings.ReplaceAll(good, `"ok"`, `-0`),
	"verdict 0 in quotes":          strings.ReplaceAll(good, `"ok"`, `"0"`),
	"verdict false in quotes":      strings.ReplaceAll(good, `"ok"`, `"false"`),
	"verdict 2":                    strings.ReplaceAll(good, `"ok"`, `2`),
	"verdict in a list":            strings.ReplaceAll(good, `"ok"`, `["ok"]`),
	"verdict in an object":         strings.ReplaceAll(good, `"ok"`, `{"status": "ok"}`),
	"verdict twice":                strings.ReplaceAll(good, `"status": "ok"`, `"status": "dnd", "status": "ok"`),
	"verdict twice and the same":   strings.ReplaceAll(good, `"status": "ok"`, `"status": "ok", "status": "ok"`),
	"verdict twice by an escape":   strings.ReplaceAll(good, `"status": "ok"`, `"status": "dnd", "st\u0061tus": "ok"`),
	"Status":                       strings.ReplaceAll(good, `"status"`, `"Status"`),
	"blocked":                      strings.ReplaceAll(good, `"ok"`, `"dnd"`),
	"ann twice, no then yes":       strings.ReplaceAll(good, `"6000000002"`, `"6000000001"`),
	"ann twice, in two spellings":  strings.ReplaceAll(good, `"6000000002"`, `"+91 60000 00001"`),
	"ann twice, as number":         strings.ReplaceAll(good, `"6000000002"`, `916000000001`),
	"ann twice, with nonsense":     strings.ReplaceAll(good, `]}}`, `, {"number": "6000000001", "status": "?"}]}}`),
	"ann twice, without a verdict": strings.ReplaceAll(good, `]}}`, `, {"number": "6000000001"}]}}`),
	"ann three times": strings.ReplaceAll(good, `]}}`,
		`, {"number": "6000000001", "status": "dnd"}, {"number": "6000000001", "status": "ok"}]}}`),
	"ann again and again": strings.ReplaceAll(good, `]}}`,
		strings.Repeat(`, {"number": "6000000001", "status": "ok"}`, maxEntries)+`]}}`),
	"members without number": `{"data": {` + manyMembers() + `"results": [{"number": "6000000001", "status": "ok"}]}}`,
	"nested beyond measure":  `{"data": {"results": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`,
}

// utf16 is s as a program would send it that forgot to encode.
func utf16(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
		b.WriteByte(0)
	}
	return b.String()
}

func manyMembers() string {
	var b strings.Builder
	for i := range maxEntries {
		fmt.Fprintf(&b, `"%d": 0, `, i)
	}
	return b.String()
}

func write(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// raw answers with bytes of its own instead of HTTP by the library. The request
// was read before.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

// head is the beginning of a raw answer.
func head(length int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
}

// hostileHandlers answer in ways that have nothing to do with the text of the
// body, which would be good.
func hostileHandlers() map[string]http.HandlerFunc {
	handlers := map[string]http.HandlerFunc{
		"closes at once":       raw(""),
		"no HTTP":              raw("6000000001 ok\r\n6000000002 dnd\r\n\r\n"),
		"half a status line":   raw("HTTP/1.1 2"),
		"no header's end":      raw("HTTP/1.1 200 OK\r\nContent-Type: 6000000001\r\n"),
		"a broken header":      raw("HTTP/1.1 200 OK\r\n6000000001 ok\r\n\r\n" + good),
		"shorter than it says": raw(head(len(good)+1) + good),
		"longer than it says":  raw(head(len(good)-1) + good),
		"two lengths":          raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n" + good),
		"a chunk cut short":    raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + good),
		"no last chunk":        raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(good), good)),
		"headers without end":  raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Number: 6000000001\r\n", 10_000) + "\r\n" + good),
		"says that it compressed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			write(good)(w, r)
		},
		"larger than the limit": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, good)
			_, _ = w.Write(bytes.Repeat([]byte(" "), maxAnswer))
		},
		"echoes the request": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_ = r.Write(w)
		},
		"sends an information first": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, good)
		},
	}
	for _, status := range []int{201, 202, 203, 204, 205, 206, 207, 226, 300, 304, 305, 400, 401, 402, 403, 404, 405, 406,
		407, 408, 409, 410, 413, 415, 418, 422, 425, 429, 451, 500, 501, 502, 503, 504, 511, 599, 600, 999} {
		handlers[fmt.Sprint("status ", status)] = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, good) // is not sent with 204 and 304
		}
	}
	for name, body := range hostileBodies {
		handlers["body: "+name] = write(body)
	}
	return handlers
}

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	for name, h := range hostileHandlers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := newSource(t, config(serve(t, h).URL)).Check(t.Context(), []saaf.Phone{ann, bob})
			if len(found) != 2 || found[0].Clean() {
				t.Fatalf("found %v", found)
			}
			if !found[0].Checked() && err == nil {
				t.Error("unknown without an error")
			}
			if err != nil {
				checkQuiet(t, err.Error())
			}
		})
	}
}

// The answer that the hostile ones are changes of is one that counts.
func TestGoodAnswer(t *testing.T) {
	t.Parallel()
	found, err := newSource(t, config(serve(t, write(good)).URL)).Check(t.Context(), []saaf.Phone{ann, bob})
	if err != nil {
		t.Error(err)
	}
	checkFound(t, found, clean, full)
}

func TestAnswerThatDoesNotCome(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"nothing": "", "half": head(len(good)) + good[:len(good)/2]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(serve(t, func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, before)
				_, _ = io.Copy(io.Discard, conn) // until the other side gives up
				_ = conn.Close()
			}).URL)
			c.Timeout = 100 * time.Millisecond
			found, err := newSource(t, c).Check(t.Context(), []saaf.Phone{ann, bob})
			checkFound(t, found, unknown, unknown)
			if err == nil || !strings.Contains(err.Error(), "within the timeout") {
				t.Error(err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	srv := serve(t, write(good))
	srv.Close()
	found, err := newSource(t, config(srv.URL)).Check(t.Context(), []saaf.Phone{ann})
	checkFound(t, found, unknown)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

// A redirect is not followed, wherever it leads.
func TestRedirects(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was asked", r.Method, r.URL.Path)
		write(good)(w, r)
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/?number=6000000001")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, good)
		})
		found, err := newSource(t, config(srv.URL)).Check(t.Context(), []saaf.Phone{ann})
		checkFound(t, found, unknown)
		if err == nil || !strings.Contains(err.Error(), "redirects are not followed") {
			t.Errorf("%d: %v", status, err)
		} else {
			checkQuiet(t, err.Error())
		}
	}
}
