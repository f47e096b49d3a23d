package config

import "github.com/sluice-gateway/sluice/identity/oidc"

// Identity is who vouches for callers. With more than one source, groups are
// written "source:group" in the policy.
type Identity struct {
	// OIDC lists OpenID Connect issuers.
	OIDC []oidc.Config `yaml:"oidc"`
}

// Sources are the names of the sources, in their order.
func (i *Identity) Sources() []string {
	names := make([]string, len(i.OIDC))
	for n := range i.OIDC {
		names[n] = i.OIDC[n].Name
	}
	return names
}

func (f *found) identity(id *Identity) {
	if len(id.OIDC) == 0 {
		f.add("identity", "has no source: nobody could prove who they are; write identity.oidc")
	}
	names, issuers := make(map[string]int), make(map[string]int)
	for i := range id.OIDC {
		o := &id.OIDC[i]
		path := indexed("identity.oidc", i)
		f.under(path, o.Validate())
		if first, taken := names[o.Name]; taken && o.Name != "" {
			f.add(path+".name", "%q is the name of identity.oidc[%d] too", o.Name, first)
		}
		if first, taken := issuers[o.Issuer]; taken && o.Issuer != "" {
			f.add(path+".issuer", "is the issuer of identity.oidc[%d] too", first)
		}
		names[o.Name], issuers[o.Issuer] = i, i
	}
}
