package api

import (
	"fmt"
	"slices"

	"saaf"
	"saaf/web"
)

// decodeLead reads a lead from a JSON object. It returns every member of a wrong
// type; names that are not part of a lead go to ignored. A member that is given
// twice counts as its last value.
func decodeLead(obj web.Value, ignored *ignoredMembers) (in saaf.LeadInput, wrong []saaf.Reason) {
	var phone, name, email, externalID, metadata web.Value
	for member, v := range obj.Members() {
		switch member {
		case "phone":
			phone = v
		case "name":
			name = v
		case "email":
			email = v
		case "external_id":
			externalID = v
		case "metadata":
			metadata = v
		default:
			ignored.add(member)
		}
	}
	switch {
	case phone == nil:
		wrong = append(wrong, saaf.ReasonPhoneMissing)
	case phone.Kind() != web.String:
		wrong = append(wrong, saaf.ReasonPhoneType)
	default:
		in.Phone = phone.Text()
	}
	text := func(v web.Value, ifWrong saaf.Reason) *string {
		switch v.Kind() {
		case web.Null:
			return nil
		case web.String:
			return new(v.Text())
		}
		wrong = append(wrong, ifWrong)
		return nil
	}
	in.Name = text(name, saaf.ReasonNameType)
	in.Email = text(email, saaf.ReasonEmailType)
	in.ExternalID = text(externalID, saaf.ReasonExternalIDType)
	switch metadata.Kind() {
	case web.Null:
	case web.Object:
		in.Metadata = metadata
	default:
		wrong = append(wrong, saaf.ReasonMetadataType)
	}
	return in, wrong
}

// member is the last member of obj with the name, nil when there is none.
func member(obj web.Value, name string) (last web.Value) {
	for n, v := range obj.Members() {
		if n == name {
			last = v
		}
	}
	return last
}

// ignoredMembers collects names that mean nothing here, so that nothing is
// dropped in silence. It keeps the first 20 and counts no further.
type ignoredMembers []string

func (g *ignoredMembers) add(name string) {
	if len(*g) < 20 && !slices.Contains(*g, name) {
		*g = append(*g, name)
	}
}

// list is a sentence for each name.
func (g ignoredMembers) list() []string {
	sentences := make([]string, len(g))
	for i, name := range g {
		if r := []rune(name); len(r) > 100 {
			name = string(r[:100]) + "..."
		}
		sentences[i] = fmt.Sprintf("unknown member %q was ignored", name)
	}
	return sentences
}

func appendWarnings(dst []byte, sentences []string) []byte {
	dst = append(dst, `,"warnings":[`...)
	for i, s := range sentences {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = web.AppendString(dst, s)
	}
	return append(dst, ']')
}

// appendLead writes a lead. backing is what stands behind clean verdicts now:
// without it nothing is shown as clean. Metadata is written as it was received,
// never encoded again.
func appendLead(dst []byte, l *saaf.Lead, backing saaf.Backing) []byte {
	v := l.Verdict.AsShown(backing)
	dst = append(dst, `{"id":"`...)
	dst = l.ID.AppendTo(dst)
	dst = append(dst, `","campaign_id":"`...)
	dst = l.CampaignID.AppendTo(dst)
	dst = append(dst, `","phone":"`...)
	dst = l.Phone.AppendNational(dst)
	dst = append(dst, `","name":`...)
	dst = web.AppendOptional(dst, l.Name)
	dst = append(dst, `,"email":`...)
	dst = web.AppendOptional(dst, l.Email)
	dst = append(dst, `,"metadata":`...)
	if l.Metadata == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, l.Metadata...)
	}
	dst = append(dst, `,"external_id":`...)
	dst = web.AppendOptional(dst, l.ExternalID)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, l.Status.String()...)
	dst = append(dst, `","attempts":`...)
	dst = web.AppendInt(dst, int64(l.Attempts))
	dst = append(dst, `,"dnd_checked":`...)
	dst = appendBool(dst, v.Reason.Checked())
	dst = append(dst, `,"dnd_clean":`...)
	dst = appendBool(dst, v.Reason.Clean())
	dst = append(dst, `,"dnd_reason":"`...)
	dst = append(dst, v.Reason.String()...)
	dst = append(dst, `","dnd_checked_at":`...)
	dst = web.AppendTime(dst, v.CheckedAt)
	dst = append(dst, `,"dnd_registry":`...)
	dst = appendSnapshot(dst, v.Snapshot)
	dst = append(dst, `,"created_at":`...)
	dst = web.AppendTime(dst, l.CreatedAt)
	dst = append(dst, `,"updated_at":`...)
	dst = web.AppendTime(dst, l.UpdatedAt)
	return append(dst, '}')
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}
