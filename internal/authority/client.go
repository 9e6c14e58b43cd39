package authority

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// common is what decisions need of a client and many clients have in common, see shape.
type common struct {
	AuthMethod        string
	FormerMethod      string
	FormerUntil       time.Time
	GrantTypes        []string
	SigningAlgorithm  string
	CertificateBound  bool
	DPoPBound         bool
	MultipleAudiences bool
	RotatesSecrets    bool
	Suspended         bool
	ResourceServerFor []string
	TokenTTL          time.Duration
	TokenReuse        time.Duration
	goesUnused        bool           // it is deleted when no use of it was noted for a time (registry.SweepRegistrations)
	networks          []netip.Prefix // where it may ask from; none: everywhere
}

func commonOf(c *store.Client) common {
	return common{
		AuthMethod: c.AuthMethod, FormerMethod: c.FormerMethod, FormerUntil: c.FormerUntil, GrantTypes: c.GrantTypes,
		SigningAlgorithm: c.SigningAlgorithm, CertificateBound: c.CertificateBound, DPoPBound: c.DPoPBound,
		MultipleAudiences: c.MultipleAudiences, RotatesSecrets: c.RotatesSecrets, Suspended: c.Suspended,
		ResourceServerFor: c.ResourceServerFor, TokenTTL: c.TokenTTL, TokenReuse: c.TokenReuse, networks: networksOf(c.Networks),
		goesUnused: c.Registration.FirstUse > 0 || c.Registration.Idle > 0,
	}
}

// own is what decisions need of a client and each has for itself.
type own struct {
	ID               string
	Secrets          []secret
	room             [1]secret // for the only one that most have
	Keys             []store.ClientKey
	JWKSURI          string
	CertificateValue string
	NotBefore        time.Time
	Updated          time.Time
	Rotated          time.Time // when a secret of it was rotated last; zero: none was
}

func ownOf(c *store.Client) own {
	of := own{ID: c.ID, Keys: c.Keys, JWKSURI: c.JWKSURI, CertificateValue: c.CertificateValue, NotBefore: c.NotBefore, Updated: c.Updated}
	for _, one := range c.Secrets {
		of.Secrets = append(of.Secrets, secretOf(one))
		if one.Rotated.After(of.Rotated) {
			of.Rotated = one.Rotated
		}
	}
	return of
}

// A secret is what decisions need of a store.Secret.
type secret struct {
	ID                 string
	sum                [sha256.Size]byte // of the secret, unless foreign is set
	foreign            string            // a hash that is none of ours
	NotBefore, Expires time.Time
	limit              *limit // nil without
}

func secretOf(s store.Secret) secret {
	of := secret{ID: s.ID, NotBefore: s.NotBefore, Expires: s.Expires, limit: limitOf(s.Limit)}
	var ours bool
	if of.sum, ours = store.SumOf(s.Hash); !ours {
		of.foreign = s.Hash
	}
	return of
}
