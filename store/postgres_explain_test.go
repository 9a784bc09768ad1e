package store

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"saaf/internal/pgtest"
)

// A pooler that changes connections between statements is named as what it is.
func TestPoolerIsExplained(t *testing.T) {
	t.Parallel()
	url := pgtest.Bouncer(t, pgtest.Empty(t))
	dir := t.TempDir()
	for range 20 { // whether two meet on one connection of the pooler is luck
		s, err := Open(t.Context(), Config{Dir: dir, URL: url})
		if err == nil {
			if err := s.Close(); err == nil {
				continue
			}
		}
		for _, say := range []string{"default_query_exec_mode=exec", "docs/postgres.md", "prepared statement"} {
			if !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "try again") {
				t.Errorf("it says %v, want %q", err, say)
			}
		}
		return
	}
	t.Error("nobody met a statement of another")
}

// What is wrong with the encryption is no reason to try again.
func TestEncryptionIsExplained(t *testing.T) {
	t.Parallel()
	now := time.Now()
	plain := pgtest.Empty(t)
	current, file := encrypted(t, now.Add(time.Hour))
	expired, fileOfExpired := encrypted(t, now.Add(-time.Hour))
	for url, say := range map[string]string{
		plain + "?sslmode=require":                                                    "it does not speak TLS",
		plain + "?sslmode=perhaps":                                                    "the database URL asks for an unknown sslmode: use verify-full",
		current + "?sslmode=verify-ca":                                                "signed by nobody this machine knows: name the certificate of the authority with sslrootcert=FILE",
		plain + "?sslmode=verify-ca&sslrootcert=/nowhere.pem":                         "correct sslrootcert, sslcert and sslkey",
		current + "?sslmode=verify-full&sslrootcert=" + file:                          "for another name than the host in the database URL",
		expired + "?sslmode=verify-full&sslrootcert=" + fileOfExpired:                 "its certificate is not valid: renew it",
		strings.Replace(current, "saaf@", "saaf:geheim@", 1) + "?sslmode=verify-full": "for another name",
	} {
		_, err := Open(t.Context(), Config{Dir: t.TempDir(), URL: url})
		if err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "try again") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, want %q", url, err, say)
		}
	}
}

// encrypted answers like a PostgreSQL that takes up TLS with a certificate for another
// name, and nothing after that. It returns its URL and the file of the certificate.
func encrypted(t *testing.T, until time.Time) (url, file string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"db.internal"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	must(err)
	file = filepath.Join(t.TempDir(), "authority.pem")
	must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	cfg := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var asked [8]byte // the request for TLS
			if _, err := io.ReadFull(conn, asked[:]); err == nil {
				if _, err := conn.Write([]byte("S")); err == nil {
					_ = tls.Server(conn, cfg).Handshake()
				}
			}
			conn.Close()
		}
	}()
	return "postgres://saaf@" + l.Addr().String() + "/saaf", file
}
