package pgtest

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
)

// startEtcd starts the store in which the members of a cluster elect their leader.
func (c *Cluster) startEtcd() error {
	etcd, err := lookPath("etcd")
	if err != nil {
		return err
	}
	var ports [2]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return err
		}
	}
	c.etcd = fmt.Sprintf("127.0.0.1:%d", ports[0])
	clients, peers := "http://"+c.etcd, fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	cmd := c.home.command(etcd, "--name=only", "--data-dir="+filepath.Join(c.home.dir, "etcd"),
		"--listen-client-urls="+clients, "--advertise-client-urls="+clients,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=only="+peers)
	_, err = c.home.run("etcd", cmd, func() error {
		_, _, err := c.get(clients + "/health")
		return err
	})
	return err
}

// start starts the Patroni of a member, which starts its PostgreSQL, and returns
// when it answers.
func (c *Cluster) start(m *member) error {
	patroni, err := lookPath("patroni")
	if err != nil {
		return err
	}
	if m.port == 0 {
		if m.port, err = freePort(); err != nil {
			return err
		}
		if m.rest, err = freePort(); err != nil {
			return err
		}
	}
	config, err := c.config(m)
	if err != nil {
		return err
	}
	file, err := c.home.write(m.name+".yml", config)
	if err != nil {
		return err
	}
	cmd := c.home.command(patroni, file)
	cmd.Dir = m.dir
	m.proc, err = c.home.run(m.name, cmd, func() error {
		_, _, err := c.ask(m, "/liveness")
		return err
	})
	return err
}

// config is the configuration of a member; JSON is YAML. The lease is as short as a
// busy machine can keep it.
func (c *Cluster) config(m *member) (string, error) {
	postgres, err := program("postgres")
	if err != nil {
		return "", err
	}
	address, rest := fmt.Sprintf("127.0.0.1:%d", m.port), fmt.Sprintf("127.0.0.1:%d", m.rest)
	type object = map[string]any
	parameters := object{"fsync": "off"}
	for name, value := range usual {
		switch name {
		case "wal_level", "max_wal_senders": // Patroni's, for standbys
		default:
			parameters[name] = value
		}
	}
	text, err := json.Marshal(object{
		"scope":   "saaf",
		"name":    m.name,
		"restapi": object{"listen": rest, "connect_address": rest},
		"etcd3":   object{"host": c.etcd},
		"bootstrap": object{
			"dcs": object{
				"ttl": 10, "loop_wait": 1, "retry_timeout": 4,
				"synchronous_mode": true,
				"postgresql":       object{"use_pg_rewind": true, "parameters": parameters},
			},
			"initdb": []any{"no-sync", object{"encoding": "UTF8"}, object{"locale": "C.UTF-8"},
				object{"locale-provider": "icu"}, object{"icu-locale": "en-IN"}},
		},
		"postgresql": object{
			"listen": address, "connect_address": address,
			"data_dir": filepath.Join(m.dir, "data"), "bin_dir": filepath.Dir(postgres), "pgpass": filepath.Join(m.dir, "pgpass"),
			"authentication": object{"superuser": object{"username": "saaf"}, "replication": object{"username": "replicator"}},
			"pg_hba":         []string{"host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"},
			"basebackup":     []any{object{"checkpoint": "fast"}, "no-sync"},
		},
	})
	return string(text), err
}

// ask asks the Patroni of a member.
func (c *Cluster) ask(m *member, path string) (status int, body []byte, err error) {
	return c.get(fmt.Sprintf("http://127.0.0.1:%d%s", m.rest, path))
}

func (c *Cluster) get(url string) (status int, body []byte, err error) {
	resp, err := c.client.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}
