package bench

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
)

// addRegistry takes over what was found about the registry.
func (r *run) addRegistry(ctx context.Context, list []Measure) error {
	by := make(map[string]Measure)
	for _, m := range list {
		by[m.Name] = m
	}
	without, err := r.serveNothing(ctx)
	if err != nil {
		return err
	}
	plain := func(name string, target int, as string) Row {
		m := by[name]
		return row(target, as, m.What, m.Value, m.Unit)
	}
	r.add(by["file"].rowOf(10), by["file_categories"].rowOf(10))
	r.add(row(10, "registry_memory", "anonymous memory of a server, beyond that of one without a registry", max(0, by["serve_memory"].Value-without), "MB").
		must(atMost, 20).noted("%.3g MB, and %.3g MB without", by["serve_memory"].Value, without))
	r.add(by["lookup"].rowOf(11), by["verdict"].rowOf(11))
	r.add(plain("open", 12, "open").must(atMost, 50))
	r.add(plain("import", 12, "import").must(atMost, max(1, 30*float64(r.Numbers)/300e6)).
		noted("30 s are for 300M rows; reading and splitting them takes %.3g s", *by["import"].Base))
	r.add(plain("delta", 12, "delta").must(atMost, 0.1).noted("the whole command"))
	r.add(plain("failed", 12, "swap_failed").must(atMost, 0).noted("%s", by["failed"].Note))
	swap := by["single_p99"].rowOf(12)
	swap.Name = "swap_single_p99"
	r.add(swap)
	r.add(plain("bulk_p99", 7, "swap_p99").must(atMost, 60).noted("%s", by["bulk_p99"].Note))
	for _, name := range []string{"wrong_verdicts", "wrong_entries"} {
		if m := by[name]; !m.OK {
			r.report.Problems = append(r.report.Problems, "registry: "+Figure(m.Value)+" "+m.What)
		}
	}
	return nil
}

// serveNothing is the anonymous memory of a server without a registry, in MB.
func (r *run) serveNothing(ctx context.Context) (float64, error) {
	srv, err := r.serve(ctx, place{dir: filepath.Join(r.dir, "nothing")}, filepath.Join(r.dir, "nothing.log"))
	if err != nil {
		return 0, err
	}
	bytes, err := anonymousMemory(srv.pid)
	return megabytes(bytes), cmp.Or(err, srv.end())
}

// sort puts the rows in the order of their targets.
func (r *run) sort() {
	slices.SortStableFunc(r.report.Rows, func(a, b Row) int { return cmp.Compare(a.Target, b.Target) })
}
