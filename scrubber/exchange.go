package scrubber

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

const (
	maxAnswer  = 4 << 20  // bytes of a body: 500 numbers with 8 KB around each
	maxHeaders = 64 << 10 // bytes of the headers of an answer
)

// client makes the single attempts: one request, one answer.
type client struct {
	http    *http.Client
	method  string
	url     string
	headers http.Header
}

func newClient(c *Config) (*client, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	headers := http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/json"},
		"User-Agent":   {"saaf"},
	}
	for name, value := range c.Headers {
		headers.Set(name, string(value))
	}
	return &client{
		http: &http.Client{
			Transport:     newTransport(newGuard(u.Hostname(), c.AllowPrivate), c.Timeout),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		method: c.Method, url: c.URL, headers: headers,
	}, nil
}

func newTransport(g guard, timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:       nil, // also not that of the environment
		DialContext: (&net.Dialer{Timeout: timeout, Control: g.control}).DialContext,
		// Bytes that come on an idle connection are printed to the standard logger by
		// net/http, and what follows an answer that is longer than it says may be
		// numbers. So no connection is ever idle.
		DisableKeepAlives:      true,
		DisableCompression:     true, // an answer has the size that it has on the wire
		TLSHandshakeTimeout:    timeout,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// failure is an attempt that brought no answer. Its text is always one of this
// package: errors of net/http quote the address with its query, and pieces of what
// the other side sent.
type failure struct {
	text  string
	again bool          // another attempt may help
	wait  time.Duration // what the other side asked to wait before that
}

func (f *failure) Error() string { return f.text }

// exchange returns the body of an answer with status 200. Every error is a *failure.
func (c *client) exchange(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, &failure{text: "the request cannot be made: check url and method"}
	}
	req.Header = c.headers.Clone()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, networkFailure(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusFailure(resp)
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return nil, &failure{text: "the answer is compressed, which was not asked for"}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, networkFailure(err)
	case len(answer) > maxAnswer:
		return nil, &failure{text: fmt.Sprintf("the answer has more than %d bytes: make batch smaller", maxAnswer)}
	}
	return answer, nil
}

func statusFailure(resp *http.Response) *failure {
	code := resp.StatusCode
	f := &failure{text: fmt.Sprintf("the status of the answer is %d instead of 200", code)}
	switch {
	case code >= 300 && code <= 399:
		f.text += ": redirects are not followed, write the final address into url"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.text += ": check the secrets in headers"
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500 && code <= 599:
		f.again = true
		f.wait = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return f
}

// retryAfter is the wait that a Retry-After header asks for, 0 for one that cannot
// be read or is over.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// networkFailure says in our words what went wrong below HTTP.
func networkFailure(err error) *failure {
	for _, refusal := range []error{errForbiddenAddress, errPrivateAddress} {
		if errors.Is(err, refusal) {
			return &failure{text: refusal.Error()}
		}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &failure{text: certificateText(err)}
	}
	f := &failure{text: "the connection broke, or what came is not HTTP", again: true}
	netErr, isNet := errors.AsType[net.Error](err)
	errno, isErrno := errors.AsType[syscall.Errno](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), isNet && netErr.Timeout():
		f.text = "no whole answer within the timeout"
	case isDNS:
		f.text = "the name of the host does not resolve"
	case isOp && op.Op == "remote error", errors.Is(err, http.ErrSchemeMismatch): // a TLS alert, or no TLS
		f.text = "no TLS connection could be made"
	case isErrno:
		f.text = "the network says: " + errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.text = "the connection was closed before the answer was whole"
	}
	return f
}

func certificateText(err error) string {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case authority:
		return "the certificate is signed by nobody whom this machine trusts"
	case name:
		return "the certificate is for another host"
	case ok && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet: check it, and the clock of this machine"
	}
	return "the certificate is not valid"
}
