package saaf

import (
	"errors"
	"strings"
	"time"
)

// Code says what kind of failure an [Error] is. Package web owns the one table
// from Code to HTTP status.
type Code uint8

// The kinds of failure. The zero Code is Internal, so that an error nobody
// classified is never shown to a caller.
const (
	Internal        Code = iota // a fault of ours: logged in full, shown to nobody
	Malformed                   // the request cannot be read at all
	Invalid                     // the request was read and a field is wrong
	Unauthenticated             // no key, or not one of ours
	Forbidden                   // the key may not do this
	NotFound                    // does not exist, or belongs to somebody else
	Conflict                    // not in this state
	TooLarge                    // over a size limit
	UnsupportedType             // a body of a type that is not read here
	NotAllowed                  // the path exists, the method does not
	RateLimited                 // too many requests for this key
	Unavailable                 // try again: overloaded, starting or stopping
)

// FieldError names one wrong field of a request, in the shape of the public
// documentation: Loc ["body", "phone"], a sentence, a type that stays stable.
type FieldError struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// Error is a failure that may be shown to whoever asked. Any other error is
// internal: it is logged and its text never leaves the process.
type Error struct {
	Code       Code
	Word       string        // the stable word callers branch on, for instance "duplicate"
	Message    string        // one sentence that says what is wrong and what to do
	Fields     []FieldError  // set for Invalid: replaces Message in the answer
	RetryAfter time.Duration // set for RateLimited and Unavailable
	LeadID     LeadID        // the lead that is already there, for Word "duplicate"
	Allow      []string      // the methods that exist, for NotAllowed
	Err        error         // the cause, for the log
}

// Error is the message, or the messages of the fields.
func (e *Error) Error() string {
	msg := e.Message
	if len(e.Fields) > 0 {
		parts := make([]string, len(e.Fields))
		for i, f := range e.Fields {
			parts[i] = strings.Join(f.Loc, ".") + ": " + f.Msg
		}
		msg = strings.Join(parts, "; ")
	}
	if e.Err != nil {
		return msg + ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrorCode returns the code of the [Error] in err's chain, Internal when there
// is none.
func ErrorCode(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// The errors that are the same everywhere. Their texts are part of the contract.
var (
	ErrCampaignNotFound = &Error{Code: NotFound, Word: "not_found", Message: "Campaign not found"}
	ErrLeadNotFound     = &Error{Code: NotFound, Word: "not_found", Message: "Lead not found"}

	ErrCampaignCompleted = &Error{Code: Conflict, Word: "campaign_completed",
		Message: "Campaign is completed: it takes no more leads. Create a new campaign and push them there."}
)

// InvalidField is the error for one wrong member of a body.
func InvalidField(field, msg, typ string) *Error {
	return &Error{Code: Invalid, Word: "invalid", Fields: []FieldError{BodyField(field, msg, typ)}}
}

// BodyField names a wrong member of the body; nested members are separated by dots.
func BodyField(field, msg, typ string) FieldError {
	return FieldError{Loc: append([]string{"body"}, strings.Split(field, ".")...), Msg: msg, Type: typ}
}
