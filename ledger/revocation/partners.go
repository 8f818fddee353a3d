package revocation

import "github.com/sentryagent/agentidp/domain"

// Partner is the federation partner with an issuer, as it stands; found is false
// where there is none. Whether its time has run out is for [domain.Partner.StatusAt].
func (v View) Partner(issuer string) (partner domain.Partner, found bool) {
	if v.index == nil {
		return domain.Partner{}, false
	}
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	id, found := v.index.issuers[issuer]
	return v.index.partners[id], found
}

// setPartner keeps partners that exist and forgets the others. The caller holds r.mu.
func (r *Index) setPartner(id domain.PartnerID, partner domain.Partner) {
	if !partner.Exists() {
		delete(r.issuers, r.partners[id].Issuer)
		delete(r.partners, id)
		return
	}
	r.partners[id], r.issuers[partner.Issuer] = partner, id
}
