package api

import (
	"errors"
	"sync"

	"saaf"
)

// maxSeen is how many campaigns are remembered; the memory starts anew when it is full.
const maxSeen = 100_000

// campaignsSeen remembers which campaigns were there, and whose. That never changes but
// by a deletion, so that a push can leave it to its transaction to find out about that one:
// there the campaign is judged anyway. What is answered without a transaction must
// not rest on it.
type campaignsSeen struct {
	mu   sync.RWMutex
	seen map[campaignSeen]struct{} // guarded by mu
}

type campaignSeen struct {
	tenant   saaf.TenantID
	env      saaf.Environment
	campaign saaf.CampaignID
}

func (s *campaignsSeen) has(c campaignSeen) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.seen[c]
	return ok
}

func (s *campaignsSeen) add(c campaignSeen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || len(s.seen) >= maxSeen {
		s.seen = make(map[campaignSeen]struct{})
	}
	s.seen[c] = struct{}{}
}

func (s *campaignsSeen) remove(c campaignSeen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, c)
}

// seen names the campaign of the call.
func (c *call) seen() campaignSeen {
	return campaignSeen{c.key.TenantID, c.key.Environment, c.campaign.ID}
}

// expectCampaign is for routes that judge the campaign in a transaction. One that was
// seen before is not read: only its id is set.
func (a *API) expectCampaign(c *call, id saaf.CampaignID) (err error) {
	c.campaign.ID = id
	if a.seen.has(c.seen()) {
		c.expected = true
		return nil
	}
	if c.campaign, err = a.store.Campaign(c.r.Context(), c.key.TenantID, c.key.Environment, id); err == nil {
		a.seen.add(c.seen())
	}
	return err
}

// confirmCampaign reads a campaign that was only expected to be there.
func (a *API) confirmCampaign(c *call) (err error) {
	if !c.expected {
		return nil
	}
	c.expected = false
	seen := c.seen()
	if c.campaign, err = a.store.Campaign(c.r.Context(), seen.tenant, seen.env, seen.campaign); errors.Is(err, saaf.ErrCampaignNotFound) {
		a.seen.remove(seen)
	}
	return err
}

// campaignJudged is told what a transaction that judges the campaign of the call said.
func (a *API) campaignJudged(c *call, err error) {
	c.expected = false
	if errors.Is(err, saaf.ErrCampaignNotFound) {
		a.seen.remove(c.seen())
	}
}
