package dnd

import (
	"strings"
	"testing"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

// parsed is what a parser makes of a text.
type parsed struct {
	Rows   []string // phone, operation, categories
	Counts Counts
	Err    error
}

func parse(text string) (got parsed) {
	sets := newSetTable()
	p := newParser(sets, func(int64, saaf.Reason) {})
	rows, err := p.parse([]byte(text), nil)
	for _, r := range rows {
		got.Rows = append(got.Rows, describe(r, sets))
	}
	got.Counts, got.Err = p.counts, err
	return got
}

func describe(r row, sets *setTable) string {
	head, n := r.split()
	phone := saaf.Phone(head)*headSpan + saaf.Phone(n)
	op := " A "
	if r.deletes() {
		op = " D "
	}
	return phone.National() + op + sets.sets[r.set()].String()
}

func TestRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want parsed
	}{
		"header with names in any spelling": {
			"opstype,'PHONE_numbers' , Preferences\nD,6000000000,2\na,6000000001,3\n",
			parsed{[]string{"6000000000 D 0", "6000000001 A 3"}, Counts{Rows: 2, Active: 1, Deleted: 1, Partial: 1, Headers: 1}, nil}},
		"header of another order, with columns of others": {
			"\"Remarks\",\"Ops Type\",\"Phone_Numbers\"\n\"x, \"\"y\"\"\",\"D\",\"6000000000\"\n,A,6000000001\n",
			parsed{[]string{"6000000000 D 0", "6000000001 A 0"}, Counts{Rows: 2, Active: 1, Deleted: 1, Headers: 1}, nil}},
		"header with the phone only": {
			"Phone\n6000000000\n \"6000000001\" \n",
			parsed{[]string{"6000000000 A 0", "6000000001 A 0"}, Counts{Rows: 2, Active: 2, Headers: 1}, nil}},
		"a row before the header": {
			"\uFEFF\n , \nphone\n6000000000\n",
			parsed{nil, Counts{Rows: 3, Malformed: 3, Blank: 1}, nil}},
		"byte order mark and blank line before the header": {
			"\uFEFF\r\n\t\r\nphone\r\n6000000000\r\n",
			parsed{[]string{"6000000000 A 0"}, Counts{Rows: 1, Active: 1, Blank: 2, Headers: 1}, nil}},
		"header again where files were joined": {
			"phone,opstype\n6000000000,D\n\uFEFFPhone,OpsType\n6000000001,A\nopstype,phone\n",
			parsed{[]string{"6000000000 D 0", "6000000001 A 0"}, Counts{Rows: 3, Active: 1, Deleted: 1, Malformed: 1, Headers: 2}, nil}},
		"header that names the opstype twice": {
			"phone,opstype,ops_type\n6000000000,D,A\n",
			parsed{nil, Counts{}, errTwice}},
		"lines that end with CR, VT or FF alone": {
			"15,9000000001,0,A,2\r5,9000000002,0,A,2\r\n15,9000000003,0,A,2\v5,9000000004,0,A,2\n15,9000000005,0,A,2\f\n",
			parsed{nil, Counts{Rows: 3, Malformed: 3}, nil}},
		"two rows run into one": {
			"15,9000000001,0,A,25,9000000002,0,A,2\n15,9000000003,0,A,2,,\n",
			parsed{[]string{"9000000003 A 0"}, Counts{Rows: 2, Active: 1, Malformed: 1}, nil}},
		"quotes that do not fit": {
			"\"13,6000000000,\"2,D,2\n13,\"6000000001,0,A,2\n13,6000000002,0,\"A\"x,2\n",
			parsed{[]string{"6000000000 D 0", "6000000002 A 0"},
				Counts{Rows: 3, Active: 1, Deleted: 1, Malformed: 1, UnknownOpstype: 1}, nil}},
		"short rows": {
			"13,6000000000\n13,6000000001,2\n13,6000000002,\n13,6000000003,2,\n",
			parsed{[]string{"6000000000 A 0", "6000000001 A 2", "6000000002 A 0", "6000000003 A 2"},
				Counts{Rows: 4, Active: 4, Partial: 2, UnknownOpstype: 1}, nil}},
		"any ten digits": {
			"1,1401234567,0,A,1\n1,1800123456,0,A,1\n1,5987654321,0,A,1\n1,0123456789,0,A,1\n1,05987654321,0,A,1\n",
			parsed{[]string{"1401234567 A 0", "1800123456 A 0", "5987654321 A 0"}, Counts{Rows: 5, Active: 3, Malformed: 2}, nil}},
		"long lines": {
			"13,6000000000,0,A," + strings.Repeat("x", maxLine-18) + "\r\n" + "13,6000000001,0,A," + strings.Repeat("x", maxLine-17) + "\n",
			parsed{nil, Counts{Rows: 2, Malformed: 2}, nil}},
		"lines that are just not too long": {
			"13,6000000000,0,A," + strings.Repeat("x", maxLine-18) + "\n",
			parsed{[]string{"6000000000 A 0"}, Counts{Rows: 1, Active: 1}, nil}},
		"a deleted number has no preferences": {
			"13,6000000000,nonsense,D,2\n13,6000000001,5,d,2\n",
			parsed{[]string{"6000000000 D 0", "6000000001 D 0"}, Counts{Rows: 2, Deleted: 2}, nil}},
		"header without a phone": {"Service Area Code,Opstype\n1,A\n", parsed{nil, Counts{}, errNoPhoneColumn}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, parse(c.text), cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCategories(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "0", "0": "0", "#": "0", "00": "0", "0#3": "0", "3#0#": "0", " ": "0", "2": "2", "2#3#": "2#3", "#2": "2",
		"##2##2##": "2", "8": "8", "63#64": "63#64", "99#1": "1#99", "07": "7", " 4 # 5 ": "4#5",
		"100": "", "007": "", "-1": "", "a": "", "2,3": "", "2#x": "", "0#x": "", "2 3": "", "１": "",
	} {
		c, ok := ParseCategories([]byte(text))
		if ok != (want != "") || ok && c.String() != want {
			t.Errorf("%q: %v, %v, want %q", text, c, ok, want)
		}
		if !ok && !c.Empty() {
			t.Errorf("%q is unreadable and yet %v", text, c)
		}
	}
	c, _ := ParseCategories([]byte("1#99"))
	for n, want := range map[int]bool{-1: false, 0: false, 1: true, 2: false, 98: false, 99: true, 100: false, 163: false} {
		if c.Has(n) != want {
			t.Errorf("1#99 has %d: %v", n, !want)
		}
	}
}
