package store

import (
	"slices"

	"saaf"
)

// suppressionIndex is an exact copy of the suppressions that block, for the writer
// alone: with it every lead is held against the lists in the transaction that
// stores it, without a look into a table for each. It may run behind the store,
// and is brought up to date inside each transaction, because commands write to the
// same store.
type suppressionIndex struct {
	seq    int64 // of the last change that is in it
	lists  map[listedPhone][]listing
	global int // entries of the deployment's own list
}

// listedPhone is a number on a list of a tenant; tenant 0 is the deployment.
type listedPhone struct {
	tenant saaf.TenantID
	hash   saaf.PhoneHash
}

// listing is one suppression of a number.
type listing struct {
	id       saaf.SuppressionID
	campaign saaf.CampaignID // 0: all campaigns
	env      saaf.Environment
}

// blocks reports whether the listing counts for a campaign.
func (l *listing) blocks(campaign saaf.CampaignID, env saaf.Environment) bool {
	return (l.campaign == 0 || l.campaign == campaign) && (l.env == saaf.Live || l.env == env)
}

// find is the suppression that blocks a number of a tenant in a campaign, 0 for
// none. global makes the hash by which the deployment's own list knows the number.
func (x *suppressionIndex) find(tenant saaf.TenantID, campaign saaf.CampaignID, env saaf.Environment, hash saaf.PhoneHash, global func() saaf.PhoneHash) saaf.SuppressionID {
	match := func(p listedPhone) saaf.SuppressionID {
		for i := range x.lists[p] {
			if l := &x.lists[p][i]; l.blocks(campaign, env) {
				return l.id
			}
		}
		return 0
	}
	if len(x.lists) == 0 {
		return 0
	}
	if id := match(listedPhone{tenant, hash}); id != 0 || x.global == 0 {
		return id
	}
	return match(listedPhone{0, global()})
}

// apply takes one row as it stands now.
func (x *suppressionIndex) apply(s *saaf.Suppression) {
	p := listedPhone{s.TenantID, s.Hash}
	list := x.lists[p]
	i := slices.IndexFunc(list, func(l listing) bool { return l.id == s.ID })
	switch blocks := s.EndedAt.IsZero(); {
	case blocks && i < 0:
		if x.lists == nil {
			x.lists = make(map[listedPhone][]listing)
		}
		x.lists[p] = append(list, listing{s.ID, s.CampaignID, s.Environment})
		x.countGlobal(s, 1)
	case !blocks && i >= 0:
		if list = slices.Delete(list, i, i+1); len(list) == 0 {
			delete(x.lists, p)
		} else {
			x.lists[p] = list
		}
		x.countGlobal(s, -1)
	}
}

func (x *suppressionIndex) countGlobal(s *saaf.Suppression, n int) {
	if s.TenantID == 0 {
		x.global += n
	}
}

// suppressed brings the index up to date and returns it. It holds what this
// transaction itself has written too; should it be rolled back, the index is
// dropped.
func (t *tx) suppressed() (*suppressionIndex, error) {
	if t.indexed {
		return t.index, nil
	}
	d, err := t.readDeployment()
	if err != nil {
		return nil, err
	}
	if d.suppressionSeq != t.index.seq {
		const sqlSuppressionChanges = `SELECT ` + suppressionColumns + ` WHERE changed_seq > $1`
		t.indexMoved = true
		err := t.conn.query(sqlSuppressionChanges, func(r row) error {
			t.index.apply(new(scanSuppression(r)))
			return nil
		}, t.index.seq)
		if err != nil {
			return nil, err
		}
		t.index.seq = d.suppressionSeq
	}
	t.indexed = true
	return t.index, nil
}

// hold sets a verdict to suppressed where a list says so: that is certain whatever
// the registry answered, also when it did not.
func (x *suppressionIndex) hold(v *saaf.Verdict, c campaignRef, l *judged) {
	id := x.find(c.tenant, c.id, c.env, l.hash, func() saaf.PhoneHash { return l.global(l.phone) })
	if id == 0 {
		return
	}
	v.Reason, v.Suppression, v.Preferences = saaf.Suppressed, id, ""
	if v.CheckedAt.IsZero() {
		v.CheckedAt = l.now
	}
}
