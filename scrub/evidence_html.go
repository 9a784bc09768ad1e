package scrub

import (
	_ "embed"
	html "html/template"
	"io"
	"strings"

	"saaf"
)

//go:embed evidence.html
var evidencePage string

var evidenceTemplate = html.Must(html.New("evidence").Funcs(html.FuncMap{
	"words":   inWords,
	"found":   foundInWords,
	"outside": outsideChecker,
	"day":     func(d saaf.Date) string { return d.String() },
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

// outsideChecker is the name of the outside checker in the source of a decision, ""
// when the file alone was asked.
func outsideChecker(source string) string {
	name, beside := strings.CutPrefix(source, saaf.SourceFile)
	if beside {
		name, _ = strings.CutPrefix(name, "+")
	}
	return name
}

// foundInWords says for people what a check found, and who said it: a block for
// which no row of the registry file stands in the record came from the outside
// checker.
func foundInWords(d EvidenceDecision, word string) string {
	name, beside := outsideChecker(d.Source), strings.HasPrefix(d.Source, saaf.SourceFile)
	blocked := word == saaf.FullBlock.String() || word == saaf.PartialBlock.String()
	switch {
	case blocked && d.MatchedRow != nil, d.Source == saaf.SourceFile:
		if text, ok := fileWords[word]; ok {
			return text
		}
	case name == "":
	case blocked:
		return inWords(word) + ", as the outside checker " + name + " said"
	case word == saaf.NotRegistered.String() && beside:
		return "not in the registry file nor with the outside checker " + name + ", and on no opt-out list"
	case word == saaf.NotRegistered.String():
		return "not registered, as the outside checker " + name + " said, and on no opt-out list"
	}
	return inWords(word)
}

// fileWords are for decisions that rest on the registry file.
var fileWords = map[string]string{
	saaf.NotRegistered.String(): "not in the registry file, and on no opt-out list",
	saaf.FullBlock.String():     "in the registry file, fully blocked",
	saaf.PartialBlock.String():  "in the registry file, blocked for categories; blocked for calls all the same",
	saaf.RegistryStale.String(): "the registry file was too old to answer; the number counts as not checked",
}

// plainWords hold whoever was asked.
var plainWords = map[string]string{
	saaf.RegistryUnavailable.String(): "no registry answered; the number counts as not checked",
	saaf.RegistryStale.String():       "the answer was too old to count; the number counts as not checked",
	saaf.NotRegistered.String():       "not registered, and on no opt-out list",
	saaf.FullBlock.String():           "fully blocked",
	saaf.PartialBlock.String():        "blocked for categories; blocked for calls all the same",
	saaf.Suppressed.String():          "on an opt-out list",
	saaf.HeldAfterBlock.String():      "was blocked and is no longer; held until somebody releases it",

	string(saaf.StageIngest):  "when the lead came in",
	string(saaf.StageRescrub): "when the registry or an opt-out list changed",
	string(saaf.StageDial):    "when an attempt was about to begin",
	string(saaf.StageManual):  "when somebody asked",
}
