package scrubber

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// addresses says what may be connected to without any permission (nil) and why not.
var addresses = map[string]error{
	"8.8.8.8":                nil,
	"172.32.0.1":             nil,
	"100.128.0.1":            nil,
	"2606:4700::1111":        nil,
	"::ffff:8.8.8.8":         nil,
	"64:ff9b::808:808":       nil,
	"127.0.0.1":              errPrivateAddress,
	"127.9.9.9":              errPrivateAddress,
	"::1":                    errPrivateAddress,
	"::ffff:127.0.0.1":       errPrivateAddress,
	"10.0.0.1":               errPrivateAddress,
	"172.16.0.1":             errPrivateAddress,
	"192.168.1.1":            errPrivateAddress,
	"::ffff:192.168.1.1":     errPrivateAddress,
	"100.64.0.1":             errPrivateAddress,
	"198.18.0.1":             errPrivateAddress,
	"fd12::1":                errPrivateAddress,
	"fec0::1":                errPrivateAddress,
	"64:ff9b::a00:1":         errPrivateAddress,
	"64:ff9b:1::808:808":     errPrivateAddress,
	"2002:a00:1::1":          errPrivateAddress,
	"::10.0.0.1":             errPrivateAddress,
	"0.0.0.0":                errForbiddenAddress,
	"0.1.2.3":                errForbiddenAddress,
	"::":                     errForbiddenAddress,
	"::ffff:0.0.0.0":         errForbiddenAddress,
	"169.254.1.1":            errForbiddenAddress,
	"169.254.169.254":        errForbiddenAddress,
	"169.254.170.2":          errForbiddenAddress,
	"::ffff:169.254.169.254": errForbiddenAddress,
	"64:ff9b::a9fe:a9fe":     errForbiddenAddress,
	"2002:a9fe:a9fe::1":      errForbiddenAddress,
	"fe80::1":                errForbiddenAddress,
	"fe80::1%eth0":           errForbiddenAddress,
	"fd00:ec2::254":          errForbiddenAddress,
	"fd00:ec2::254%eth0":     errForbiddenAddress,
	"fd20:ce::254":           errForbiddenAddress,
	"100.100.100.200":        errForbiddenAddress,
	"168.63.129.16":          errForbiddenAddress,
	"192.0.0.192":            errForbiddenAddress,
	"224.0.0.1":              errForbiddenAddress,
	"239.255.255.250":        errForbiddenAddress,
	"ff02::1":                errForbiddenAddress,
	"255.255.255.255":        errForbiddenAddress,
	"240.0.0.1":              errForbiddenAddress,
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for text, want := range addresses {
		a := netip.MustParseAddr(text)
		address := netip.AddrPortFrom(a, 443).String()
		if err := newGuard("scrub.example.com", false).control("tcp", address, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
		allowed := want
		if want == errPrivateAddress {
			allowed = nil
		}
		for host, g := range map[string]guard{"allowed": newGuard("scrub.example.com", true), "literal": newGuard(text, false)} {
			if err := g.judge(a); !errors.Is(err, allowed) {
				t.Errorf("%s, %s: %v, want %v", text, host, err, allowed)
			}
		}
		localhost := want
		if carried(a).IsLoopback() {
			localhost = nil
		}
		if err := newGuard("LocalHost", false).judge(a); !errors.Is(err, localhost) {
			t.Errorf("%s as localhost: %v, want %v", text, err, localhost)
		}
		if err := checkHost(text); (err != nil) != (want == errForbiddenAddress) {
			t.Errorf("%s in a configuration: %v", text, err)
		}
	}
	// The permission of one literal address is for this one.
	if err := newGuard("10.0.0.1", false).judge(netip.MustParseAddr("10.0.0.2")); !errors.Is(err, errPrivateAddress) {
		t.Error(err)
	}
	if err := newGuard("x", true).control("tcp", "no address", nil); !errors.Is(err, errForbiddenAddress) {
		t.Error(err)
	}
}

// A name is judged by where it leads: this one is not what the configuration
// permits, and leads to this machine.
func TestGuardAfterNameResolution(t *testing.T) {
	t.Parallel()
	srv := serve(t, write(good))
	url := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	for host, want := range map[string]error{"scrub.example.com": errPrivateAddress, "10.0.0.1": errPrivateAddress, "localhost": nil} {
		c := http.Client{Transport: newTransport(newGuard(host, false), time.Minute)}
		resp, err := c.Get(url)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", host, err, want)
		}
		if err != nil && networkFailure(err).again {
			t.Errorf("%s: would be tried again", host)
		}
	}
}

func TestProxiesAreIgnored(t *testing.T) {
	t.Parallel()
	if newTransport(guard{}, time.Second).Proxy != nil {
		t.Error("requests go through a proxy")
	}
}
