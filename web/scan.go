package web

import "unsafe"

// Scanner walks through one JSON text from its beginning to its end, once: what it
// passes is checked as [Parse] checks it, UTF-8 included, so that nothing has to be
// looked at before. It makes no copies. The zero Scanner is ready for Reset, and may be
// used again for any number of texts. Only one goroutine may use it at a time.
//
// Walk like this, and believe nothing before Done says so:
//
//	s.Reset(body)
//	if s.Kind() == web.Object {
//		s.Enter()
//		for name, ok := s.Member(); ok; name, ok = s.Member() {
//			v := s.Value() // or Enter, when it is an object or array
//		}
//	}
//	if !s.Done() { ... }
type Scanner struct {
	body   []byte
	at     int    // where to go on, never at white space; the end once it is broken
	first  bool   // nothing of the object or array that was entered has been passed
	broken bool   // this is no JSON
	open   []byte // the bracket that closes each object and array around, while one is passed
	text   []byte // strings that had escapes
}

// Reset begins a text. What the Scanner returned of the one before must no longer be
// used.
func (s *Scanner) Reset(body []byte) {
	s.body, s.at = body, skipSpace(body, 0)
	s.first, s.broken = false, false
	s.text = s.text[:0]
}

// maxKept is how many bytes of memory a Scanner keeps from one text for the next.
const maxKept = 64 << 10

// Release ends the use of a text: the Scanner holds nothing of it any more.
func (s *Scanner) Release() {
	s.body, s.at = nil, 0
	if cap(s.open) > maxKept {
		s.open = nil
	}
	if cap(s.text) > maxKept {
		s.text = nil
	}
	wipe(s.text[:cap(s.text)])
}

// Done reports whether the text was one JSON value, and all of it has been passed.
func (s *Scanner) Done() bool { return !s.broken && s.at == len(s.body) }

// fail ends the walk: there are no more members, elements and values.
func (s *Scanner) fail() { s.broken, s.at = true, len(s.body) }

// Kind is the kind of the value that is next. Where none can be it is any kind but
// Object and Array, and Value finds that out.
func (s *Scanner) Kind() byte {
	if s.at == len(s.body) {
		return Null
	}
	return Value(s.body[s.at:]).Kind()
}

// Enter goes into the Object or Array that is next. Member or Element must then be
// called until they return false.
func (s *Scanner) Enter() {
	s.at, s.first = skipSpace(s.body, s.at+1), true
}

// Element goes to the next element of the array that was entered. Behind the last one
// it leaves the array and is false.
func (s *Scanner) Element() bool { return s.more(']') }

// Member goes to the value of the next member of the object that was entered and
// returns its name, decoded. Behind the last one it leaves the object and is false. The
// name shares memory with the text, as [Scanner.Text] does.
func (s *Scanner) Member() (name string, ok bool) {
	if !s.more('}') {
		return "", false
	}
	b, from := s.body, s.at
	if from == len(b) || b[from] != '"' {
		s.fail()
		return "", false
	}
	end, plain := behindString(b, from)
	if end < 0 {
		s.fail()
		return "", false
	}
	if s.at = skipSpace(b, end); s.at == len(b) || b[s.at] != ':' {
		s.fail()
		return "", false
	}
	s.at = skipSpace(b, s.at+1)
	return s.said(b[from+1:end-1], plain), true
}

// more goes to what follows in an object or array, or behind its end.
func (s *Scanner) more(closing byte) bool {
	first := s.first
	s.first = false
	if s.at == len(s.body) {
		s.fail()
		return false
	}
	switch c := s.body[s.at]; {
	case c == closing:
		s.at = skipSpace(s.body, s.at+1)
		return false
	case first:
		return true
	case c == ',':
		s.at = skipSpace(s.body, s.at+1)
		return true
	}
	s.fail()
	return false
}

// Value passes the value that is next and returns it, nil when there is none. It
// shares memory with the text.
func (s *Scanner) Value() Value {
	b, from := s.body, s.at
	if from < len(b) {
		end := -1
		if c := b[from]; c == '{' || c == '[' {
			end, s.open = behindNested(b, from, s.open[:0])
		} else {
			end = behindScalar(b, from)
		}
		if end >= 0 {
			s.at = skipSpace(b, end)
			return Value(b[from:end:end])
		}
	}
	s.fail()
	return nil
}

// Text is Value that also says what a String says, like [Value.Text]; of other kinds
// that is "". The string shares memory with the text or the Scanner: whoever keeps it for
// longer than those must clone it.
func (s *Scanner) Text() (v Value, said string) {
	b, from := s.body, s.at
	if from == len(b) || b[from] != '"' {
		return s.Value(), ""
	}
	end, plain := behindString(b, from)
	if end < 0 {
		s.fail()
		return nil, ""
	}
	s.at = skipSpace(b, end)
	return Value(b[from:end:end]), s.said(b[from+1:end-1], plain)
}

// said is what the inside of a string says.
func (s *Scanner) said(inner []byte, plain bool) string {
	if !plain {
		begin := len(s.text)
		s.text = appendUnescaped(s.text, inner)
		inner = s.text[begin:]
	}
	return unsafe.String(unsafe.SliceData(inner), len(inner))
}
