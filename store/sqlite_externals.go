package store

import (
	"encoding/binary"
	"hash/fnv"

	"saaf"
)

// blockHash is what a block keeps of an external id, so that those without it need not
// be read: of a thousand blocks that a look-up finds, fewer than one is found in vain.
type blockHash uint32

func hashOf(externalID string) blockHash {
	h := fnv.New32a()
	_, _ = h.Write([]byte(externalID)) // never fails
	return blockHash(h.Sum32())
}

// outsideOf notes the external id of the lead that was appended last.
func (w *blockWork) outsideOf(externalID string) {
	if w.outside == nil {
		w.outside = make(map[uint32][]blockHash)
	}
	w.outside[w.last] = append(w.outside[w.last], hashOf(externalID))
}

const sqlExternals = `SELECT hashes FROM lead_block_externals WHERE campaign_id = $1 AND block = $2`

// addExternals adds to the external ids of a block.
func addExternals(conn session, campaign saaf.CampaignID, n uint32, more []blockHash) error {
	const sqlWriteExternals = `INSERT INTO lead_block_externals (campaign_id, block, hashes) VALUES ($1, $2, $3)
		ON CONFLICT (campaign_id, block) DO UPDATE SET hashes = excluded.hashes`
	var hashes []byte
	err := conn.query(sqlExternals, func(r row) error { hashes = r.bytes(); return nil }, campaign, int64(n))
	if err != nil {
		return err
	}
	for _, h := range more {
		hashes = binary.LittleEndian.AppendUint32(hashes, uint32(h))
	}
	_, err = conn.exec(sqlWriteExternals, campaign, int64(n), hashes)
	return err
}

// hasExternal reports whether a block may hold a lead with an external id.
func (c sqliteConn) hasExternal(campaign saaf.CampaignID, n uint32, wanted blockHash) bool {
	found := false
	err := c.query(sqlExternals, func(r row) error {
		for hashes := r.bytes(); len(hashes) >= 4 && !found; hashes = hashes[4:] {
			found = binary.LittleEndian.Uint32(hashes) == uint32(wanted)
		}
		return nil
	}, campaign, int64(n))
	return found || err != nil
}
