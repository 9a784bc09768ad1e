package scrubber

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// guard decides which addresses may be connected to. It is asked for each address
// after name resolution, so that a name cannot lead where its text does not.
type guard struct {
	private  bool       // private and loopback addresses may be used
	loopback bool       // loopback addresses may be used
	literal  netip.Addr // this one may be used, too; the zero Addr is none
}

func newGuard(host string, allowPrivate bool) guard {
	literal, _ := netip.ParseAddr(host) // the zero Addr for a name, which no address is
	return guard{private: allowPrivate, loopback: isLocalhost(host), literal: carried(literal)}
}

var (
	errForbiddenAddress = errors.New("link-local, multicast, reserved and machine metadata addresses are never connected to")
	errPrivateAddress   = errors.New("the host is at a private or loopback address: name it by that address, or set allow_private to true")
)

// control is a net.Dialer.Control.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errForbiddenAddress
	}
	return g.judge(ap.Addr())
}

func (g guard) judge(a netip.Addr) error {
	a = carried(a)
	switch {
	case forbidden(a):
		return errForbiddenAddress
	case !isPrivate(a), g.private, g.loopback && a.IsLoopback(), a == g.literal:
		return nil
	}
	return errPrivateAddress
}

// carried is the IPv4 address that an IPv6 address stands for, where it does:
// mapped, compatible, NAT64 (RFC 6052) and 6to4.
func carried(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	b := a.As16()
	switch {
	case a.Is4():
	case nat64.Contains(a), compatible.Contains(a) && !a.IsLoopback() && !a.IsUnspecified():
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:]))
	}
	return a
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	compatible = netip.MustParsePrefix("::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")

	// Where clouds answer machines about themselves, besides link-local.
	metadata = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
		netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
	}
	reserved = prefixes("0.0.0.0/8", "240.0.0.0/4", "2001::/32", "100::/64")
	// What netip does not call private, and no public host has.
	alsoPrivate = prefixes("100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "64:ff9b:1::/48", "2001:db8::/32", "fec0::/10")
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func forbidden(a netip.Addr) bool {
	return !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() ||
		slices.Contains(metadata, a) || contains(reserved, a)
}

func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || contains(alsoPrivate, a)
}

func isLocalhost(host string) bool { return strings.EqualFold(host, "localhost") }

// isThisMachine reports whether the host of a URL is this machine by its very text.
func isThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return isLocalhost(host) || err == nil && a.Unmap().IsLoopback()
}

// checkHost refuses a host whose text alone shows that it is never connected to.
func checkHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil && forbidden(carried(a)) {
		return errForbiddenAddress
	}
	return nil
}
