package scrub

import (
	_ "embed"
	html "html/template"
	"io"

	"saaf"
)

//go:embed evidence.html
var evidencePage string

var evidenceTemplate = html.Must(html.New("evidence").Funcs(html.FuncMap{
	"words": inWords,
	"day":   func(d saaf.Date) string { return d.String() },
}).Parse(evidencePage))

// WriteHTML writes the export as one page for people, fit for printing on A4. It
// needs nothing else: no script, no font, no network. The proof is not on it, only
// where it is; it is in the JSON.
func (ev *Evidence) WriteHTML(w io.Writer) error { return evidenceTemplate.Execute(w, ev) }

// inWords says for people what a word of the record means.
func inWords(word string) string {
	if text, ok := plainWords[word]; ok {
		return text
	}
	return word
}

var plainWords = map[string]string{
	saaf.RegistryUnavailable.String(): "no registry answered; the number counts as not checked",
	saaf.RegistryStale.String():       "the registry file was too old to answer; the number counts as not checked",
	saaf.NotRegistered.String():       "not in the registry file, and on no opt-out list",
	saaf.FullBlock.String():           "in the registry file, fully blocked",
	saaf.PartialBlock.String():        "in the registry file, blocked for categories; blocked for calls all the same",
	saaf.Suppressed.String():          "on an opt-out list",
	saaf.HeldAfterBlock.String():      "was blocked and is no longer; held until somebody releases it",

	string(saaf.StageIngest):  "when the lead came in",
	string(saaf.StageRescrub): "when the registry or an opt-out list changed",
	string(saaf.StageDial):    "when an attempt was about to begin",
	string(saaf.StageManual):  "when somebody asked",
}
