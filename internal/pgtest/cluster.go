package pgtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cluster is three PostgreSQL of which Patroni makes one the leader and the others
// its standbys, one of them synchronous: what the leader has acknowledged survives it.
type Cluster struct {
	home    *home
	etcd    string // address
	members []*member
	client  http.Client
}

// member is one Patroni and its PostgreSQL, which work in dir.
type member struct {
	name       string
	dir        string
	port, rest int
	proc       *process // nil: killed
}

// awaitLimit is how long the cluster may take to reach a state. It takes two to
// three times ttl on an idle machine.
const awaitLimit = 2 * time.Minute

// Patroni starts a cluster and returns when it is whole. It takes about ten
// seconds. It is gone when the test ends.
func Patroni(t testing.TB) *Cluster {
	t.Helper()
	h, err := newHome(false)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{home: h, client: http.Client{Timeout: 5 * time.Second}}
	t.Cleanup(func() {
		if t.Failed() {
			for _, m := range c.members {
				log := process{log: filepath.Join(h.dir, m.name+".log")}
				t.Logf("the end of the log of %s:\n%s", m.name, log.tail())
			}
		}
		c.client.CloseIdleConnections()
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.startEtcd(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"asha", "bela", "chitra"} {
		if err := c.add(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AwaitWhole(); err != nil {
		t.Fatal(err)
	}
	return c
}

// URL names all members; a client finds the leader among them, because only it
// takes writes. The database postgres exists.
func (c *Cluster) URL(database string) string {
	var hosts []string
	for _, m := range c.members {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", m.port))
	}
	return fmt.Sprintf("postgres://saaf@%s/%s?target_session_attrs=read-write", strings.Join(hosts, ","), database)
}

// Leader is the name of the member that holds the lease, "" if there is none.
func (c *Cluster) Leader() string {
	if m := c.leader(); m != nil {
		return m.name
	}
	return ""
}

func (c *Cluster) leader() *member {
	for _, m := range c.members {
		if m.proc == nil {
			continue
		}
		if status, _, err := c.ask(m, "/leader"); err == nil && status == http.StatusOK {
			return m
		}
	}
	return nil
}

// KillLeader ends the leader's Patroni and every process of its PostgreSQL with
// SIGKILL, and returns its name.
func (c *Cluster) KillLeader() (name string, err error) {
	m := c.leader()
	if m == nil {
		return "", errors.New("there is no leader to kill")
	}
	err = m.proc.signal(syscall.SIGKILL) // first, lest it starts the other again
	m.proc = nil
	return m.name, errors.Join(err, c.home.kill(m.dir))
}

// Restart starts a member that was killed. It joins the cluster as a standby.
func (c *Cluster) Restart(name string) error {
	for _, m := range c.members {
		if m.name == name {
			return c.start(m)
		}
	}
	return fmt.Errorf("no member is called %q", name)
}

// AwaitLeader waits for a leader other than the one named and returns its name.
func (c *Cluster) AwaitLeader(other string) (name string, err error) {
	err = await(func() error {
		if name = c.Leader(); name == "" || name == other {
			return fmt.Errorf("the leader is %q", name)
		}
		return nil
	})
	return name, err
}

// AwaitWhole waits until there are a leader and a synchronous standby, and every
// member that was not killed follows.
func (c *Cluster) AwaitWhole() error {
	return await(func() error {
		m := c.leader()
		if m == nil {
			return errors.New("no leader")
		}
		_, body, err := c.ask(m, "/cluster")
		if err != nil {
			return err
		}
		var view struct {
			Members []struct{ Name, Role, State string }
		}
		if err := json.Unmarshal(body, &view); err != nil {
			return err
		}
		synchronous, up := false, map[string]bool{}
		for _, v := range view.Members {
			synchronous = synchronous || v.Role == "sync_standby"
			up[v.Name] = v.State == "running" || v.State == "streaming"
		}
		for _, m := range c.members {
			if m.proc != nil && !up[m.name] || !synchronous {
				return fmt.Errorf("not whole: %s", body)
			}
		}
		return nil
	})
}

func await(reached func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(awaitLimit)
	for {
		err := reached()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("after %v: %w", awaitLimit, err)
		}
	}
}

// add makes a member and starts it.
func (c *Cluster) add(name string) error {
	m := &member{name: name, dir: filepath.Join(c.home.dir, name)}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return err
	}
	c.members = append(c.members, m)
	return errors.Join(c.home.give(m.dir), c.start(m))
}
