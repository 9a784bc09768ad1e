package saaf

import "log/slog"

// Phone is an Indian number in its canonical form, the 10 digits of the national
// number as an integer: 9876543210. Zero means none. It prints masked, so that
// a number does not slip into a log or an error; [Phone.National] and
// [Phone.E164] give the number itself.
type Phone int64

// String is the number with all but its last four digits hidden.
func (p Phone) String() string {
	n := p.National()
	return "xxxxxx" + n[len(n)-4:]
}

// LogValue logs the masked number.
func (p Phone) LogValue() slog.Value { return slog.StringValue(p.String()) }

// National is the 10 digits.
func (p Phone) National() string { return string(p.AppendNational(nil)) }

// AppendNational appends the 10 digits to dst.
func (p Phone) AppendNational(dst []byte) []byte {
	var d [10]byte
	n := uint64(p)
	for i := 9; i >= 0; i-- {
		d[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, d[:]...)
}

// E164 is the number with its country code: +919876543210.
func (p Phone) E164() string { return "+91" + p.National() }

// PhonePolicy says which numbers a deployment takes.
type PhonePolicy struct {
	// FixedLines also accepts assigned fixed lines that start with 1 to 5. Off by
	// default, because that space swallows bare US numbers and 1234567890.
	FixedLines bool
}
