package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// result prints what a command found: v as JSON when that was asked for, else
// what text writes.
func (con *console) result(v any, text func(io.Writer)) error {
	if !con.json {
		text(con.out)
		return nil
	}
	enc := json.NewEncoder(con.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// sayAfter is how long a command works before it says what it waits for.
const sayAfter = time.Second

// saying calls say unless done is called within a second. When done has returned it is
// not called any more.
func saying(say func()) (done func()) {
	said := make(chan struct{})
	timer := time.AfterFunc(sayAfter, func() {
		defer close(said)
		say()
	})
	return sync.OnceFunc(func() {
		if !timer.Stop() {
			<-said
		}
	})
}

// table writes rows under a header, columns aligned by characters.
func table(w io.Writer, header []string, rows [][]string) {
	width := make([]int, len(header))
	all := append([][]string{header}, rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// thousands writes n with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
