package scrubber

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"saaf"
)

const (
	maxConfigFile = 1 << 20
	maxSecretFile = 8 << 10
)

// Load reads a configuration and the secrets that it names. Names of secret files
// are relative to the directory of the configuration. Members that do not exist
// are refused; the error lists every mistake with the member and what to write,
// and never the content of a secret.
func Load(name string) (*Config, error) {
	text, err := readFile(name, maxConfigFile)
	if err != nil {
		return nil, fmt.Errorf("scrubber: configuration: %w", err)
	}
	c, err := parseConfig(text, filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("scrubber: configuration %s: %w", name, err)
	}
	return c, nil
}

func parseConfig(text []byte, dir string) (*Config, error) {
	root, err := parseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("the file %w: check it with a JSON tool", err)
	}
	c := defaults()
	var m mistakes
	m.object("", root, fields{
		"name":          into(&c.Name, readText),
		"mode":          into(&c.Mode, readWord[saaf.SourceMode]),
		"url":           into(&c.URL, readText),
		"method":        into(&c.Method, readText),
		"headers":       func(v json.RawMessage) error { return c.readHeaders(v, dir) },
		"batch":         into(&c.Batch, readCount),
		"parallel":      into(&c.Parallel, readCount),
		"timeout":       into(&c.Timeout, readDuration),
		"retries":       into(&c.Retries, readCount),
		"max_age":       into(&c.MaxAge, readDuration),
		"allow_private": into(&c.AllowPrivate, readBool),
		"breaker": m.nested("breaker", fields{
			"failures":  into(&c.Breaker.Failures, readCount),
			"cool_down": into(&c.Breaker.CoolDown, readDuration),
		}),
		"request": m.nested("request", fields{
			"phone": into(&c.Request.Phone, readWord[PhoneFormat]),
			"body":  into(&c.Request.Body, func(v json.RawMessage) (json.RawMessage, error) { return v, nil }),
		}),
		"response": m.nested("response", fields{
			"results": into(&c.Response.Results, readText),
			"phone":   into(&c.Response.Phone, readText),
			"verdict": into(&c.Response.Verdict, readText),
			"clean":   into(&c.Response.Clean, readScalars),
			"blocked": into(&c.Response.Blocked, readScalars),
			"partial": into(&c.Response.Partial, readScalars),
		}),
	})
	if len(m) > 0 {
		return nil, m.err() // ranges are judged when every member could be read
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

// fields is what each member of an object does with its value.
type fields map[string]func(json.RawMessage) error

// object reads the members of v; prefix is the path of v with a dot behind it.
func (m *mistakes) object(prefix string, v json.RawMessage, known fields) {
	all, err := membersOf(v)
	if err != nil {
		m.add(strings.TrimSuffix(prefix, "."), fmt.Errorf("%w: write one object of settings, each of them once", err))
		return
	}
	for _, f := range all {
		read, ok := known[f.name]
		if !ok {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			m.add(prefix+f.name, fmt.Errorf("there is no such setting: take it out, or use one of %s", strings.Join(names, ", ")))
			continue
		}
		m.add(prefix+f.name, read(f.value))
	}
}

func (m *mistakes) nested(name string, known fields) func(json.RawMessage) error {
	return func(v json.RawMessage) error {
		m.object(name+".", v, known)
		return nil
	}
}

func into[T any](dst *T, read func(json.RawMessage) (T, error)) func(json.RawMessage) error {
	return func(v json.RawMessage) (err error) {
		*dst, err = read(v)
		return err
	}
}

func readText(v json.RawMessage) (string, error) {
	if s, ok := scalarOf(v); ok && s.kind == '"' {
		return s.text, nil
	}
	return "", errors.New("write a text in quotes")
}

func readWord[T ~string](v json.RawMessage) (T, error) {
	s, err := readText(v)
	return T(s), err
}

func readCount(v json.RawMessage) (int, error) {
	if s, ok := scalarOf(v); ok && s.kind == '0' {
		if n, err := strconv.Atoi(s.text); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("write a whole number without quotes")
}

func readBool(v json.RawMessage) (bool, error) {
	if s, ok := scalarOf(v); ok && s.kind == 't' {
		return s.text == "true", nil
	}
	return false, errors.New("write true or false without quotes")
}

func readDuration(v json.RawMessage) (time.Duration, error) {
	s, err := readText(v)
	if err == nil {
		if d, err := time.ParseDuration(s); err == nil {
			return d, nil
		}
	}
	return 0, errors.New(`write a duration in quotes, for instance "5s" or "24h"`)
}

func readScalars(v json.RawMessage) ([]Scalar, error) {
	wrong := errors.New(`write a list of texts, numbers, true or false, for instance ["clean", 0, false]`)
	all, err := elementsOf(v)
	if err != nil {
		return nil, wrong
	}
	var scalars []Scalar
	for _, e := range all {
		s, ok := scalarOf(e)
		if !ok {
			return nil, wrong
		}
		scalars = append(scalars, s)
	}
	return scalars, nil
}

func (c *Config) readHeaders(v json.RawMessage, dir string) error {
	all, err := membersOf(v)
	if err != nil {
		return fmt.Errorf(`%w: write an object, for instance {"Authorization": {"file": "scrubber.key"}}`, err)
	}
	c.Headers = map[string]saaf.Secret{}
	for _, h := range all {
		for name := range c.Headers {
			if strings.EqualFold(name, h.name) {
				return fmt.Errorf("write %s once", h.name)
			}
		}
		if c.Headers[h.name], err = readSecret(h.value, dir); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
	}
	return nil
}

// readSecret reads the value of a header, or the file that holds it.
func readSecret(v json.RawMessage, dir string) (saaf.Secret, error) {
	if s, err := readText(v); err == nil {
		return saaf.Secret(s), nil
	}
	wrong := errors.New(`write a text, or {"file": "name of the file that holds the text"}`)
	all, err := membersOf(v)
	if err != nil || len(all) != 1 || all[0].name != "file" {
		return "", wrong
	}
	name, err := readText(all[0].value)
	if err != nil || name == "" {
		return "", wrong
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	text, err := readFile(name, maxSecretFile)
	if err != nil {
		return "", err
	}
	return saaf.Secret(strings.TrimRight(string(text), "\r\n")), nil
}

func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes: is it the right file?", name, most)
	}
	return text, err
}
