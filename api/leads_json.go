package api

import (
	"fmt"
	"slices"
	"strings"

	"saaf"
	"saaf/web"
)

// ignoredMembers collects names that mean nothing here, so that nothing is
// dropped in silence. It keeps the first 20 and counts no further.
type ignoredMembers []string

// The name may share memory with the body: it is copied when it is kept.
func (g *ignoredMembers) add(name string) {
	if len(*g) < 20 && !slices.Contains(*g, name) {
		*g = append(*g, strings.Clone(name))
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
