package saaf

// Limits of a list.
const (
	DefaultPageSize = 25
	MaxPageSize     = 200
)

// Cursor is where the next page of a list begins: below the id it holds, newest
// first. The zero Cursor is the first page. Outside it is opaque.
type Cursor int64

// cursorKind gives cursors a spelling of their own, so that an id is not taken
// for one; the leading c1 leaves room for other forms.
type cursorKind struct{}

func (cursorKind) prefix() string { return "c1_" }

// String is the public spelling, of [A-Za-z0-9_-] only; "" for the first page.
func (c Cursor) String() string {
	if c == 0 {
		return ""
	}
	return ID[cursorKind](c).String()
}

// ParseCursor reads the public spelling.
func ParseCursor(s string) (Cursor, bool) {
	id, ok := ParseID[ID[cursorKind]](s)
	return Cursor(id), ok
}
