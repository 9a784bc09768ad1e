package saaf

// Reason says why a row was not accepted. It is the stable word of the API: in
// bulk results, in error files, and behind "value_error.phone." for a single lead.
type Reason string

// ReasonNone means that nothing is wrong.
const ReasonNone Reason = ""

// Why a phone is refused (registry rules section 1).
const (
	ReasonLength           Reason = "length"
	ReasonInvalidCharacter Reason = "invalid_character"
	ReasonInternational    Reason = "international"
	ReasonServiceNumber    Reason = "service_number"
	ReasonDigitCount       Reason = "digit_count"
	ReasonNotMobileRange   Reason = "not_mobile_range"
	ReasonNotAssignedRange Reason = "not_assigned_range"
)

// Why the rest of a row is refused (contract section 3).
const (
	ReasonNotAnObject      Reason = "not_an_object"
	ReasonPhoneMissing     Reason = "phone_missing"
	ReasonPhoneType        Reason = "phone_type"
	ReasonNameType         Reason = "name_type"
	ReasonNameLength       Reason = "name_length"
	ReasonEmailType        Reason = "email_type"
	ReasonEmailLength      Reason = "email_length"
	ReasonMetadataType     Reason = "metadata_type"
	ReasonMetadataSize     Reason = "metadata_size"
	ReasonMetadataDepth    Reason = "metadata_depth"
	ReasonExternalIDType   Reason = "external_id_type"
	ReasonExternalIDLength Reason = "external_id_length"
	ReasonNUL              Reason = "nul"
	ReasonDuplicate        Reason = "duplicate"
)

// reasons is one table for both shapes of the answer: the member that is wrong,
// its type in a 422, and the sentence that says what to send instead.
var reasons = map[Reason]struct{ field, typ, msg string }{
	ReasonLength:           {"phone", "value_error.phone.length", "phone must have 5 to 20 characters; send one Indian number, for instance 9876543210"},
	ReasonInvalidCharacter: {"phone", "value_error.phone.invalid_character", "phone may hold digits of one script, spaces, hyphens, dots, brackets and one leading +; remove extensions, letters and everything else"},
	ReasonInternational:    {"phone", "value_error.phone.international", "phone is a number outside India; send an Indian number with +91, 91, 0 or no prefix"},
	ReasonServiceNumber:    {"phone", "value_error.phone.service_number", "phone is a service number (toll-free, 140 or 1600 series); send the number of a person"},
	ReasonDigitCount:       {"phone", "value_error.phone.digit_count", "phone must have 10 digits after an optional +91, 91 or 0"},
	ReasonNotMobileRange:   {"phone", "value_error.phone.not_mobile_range", "phone must start with 6, 7, 8 or 9 after its prefix; fixed lines are accepted only where the operator started saaf with --allow-fixed-lines"},
	ReasonNotAssignedRange: {"phone", "value_error.phone.not_assigned_range", "phone is in a range that India has not assigned; check the first digits"},
	ReasonNotAnObject:      {"", "type_error.dict", "a lead must be a JSON object"},
	ReasonPhoneMissing:     {"phone", "value_error.missing", "field required"},
	ReasonPhoneType:        {"phone", "type_error.str", "phone must be a string, for instance \"9876543210\""},
	ReasonNameType:         {"name", "type_error.str", "name must be a string or null"},
	ReasonNameLength:       {"name", "value_error.any_str.max_length", "ensure this value has at most 200 characters"},
	ReasonEmailType:        {"email", "type_error.str", "email must be a string or null"},
	ReasonEmailLength:      {"email", "value_error.any_str.max_length", "ensure this value has at most 320 characters"},
	ReasonMetadataType:     {"metadata", "type_error.dict", "metadata must be a JSON object or null"},
	ReasonMetadataSize:     {"metadata", "value_error.metadata.size", "metadata must have at most 16384 bytes as sent"},
	ReasonMetadataDepth:    {"metadata", "value_error.metadata.depth", "metadata must have at most 32 levels"},
	ReasonExternalIDType:   {"external_id", "type_error.str", "external_id must be a string or null"},
	ReasonExternalIDLength: {"external_id", "value_error.any_str.max_length", "ensure this value has at most 200 characters"},
	ReasonNUL:              {"", "value_error.nul", "name, email and external_id must not hold the character U+0000"},
	ReasonDuplicate:        {"phone", "value_error.duplicate", "phone is already in the campaign, in this or another spelling; the stored lead is unchanged"},
}

// Message is the sentence that says what to send instead.
func (r Reason) Message() string { return reasons[r].msg }

// FieldError is the reason in the shape of a 422.
func (r Reason) FieldError() FieldError {
	e := reasons[r]
	loc := []string{"body"}
	if e.field != "" {
		loc = append(loc, e.field)
	}
	return FieldError{Loc: loc, Msg: e.msg, Type: e.typ}
}

// Err is the reason as an error of a single push.
func (r Reason) Err() *Error {
	return &Error{Code: Invalid, Word: "invalid", Fields: []FieldError{r.FieldError()}}
}
