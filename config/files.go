package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config/tlsfiles"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

// checkFiles looks at every file and every secret that c refers to.
func checkFiles(c *Config) []access.Problem {
	var f found
	walk(reflect.ValueOf(c).Elem(), "", func(v reflect.Value, path string) bool {
		switch x := v.Interface().(type) {
		case access.File:
			f.readable(path, string(x))
		case oidc.Location:
			if file, ok := strings.CutPrefix(string(x), "file:"); ok {
				f.readable(path, file)
			}
		case access.Secret:
			if x.Stored() == "" || !strings.HasPrefix(path, "backends[") { // those are looked up by the gateway
				f.resolvable(path, x)
			}
		}
		return true
	})
	if len(f) == 0 { // else the same files would be reported twice
		f.certificates(c)
		f.keys(c)
	}
	return f
}

func (f *found) readable(path, file string) {
	if file == "" {
		return
	}
	if strings.Contains(file, "-----BEGIN") {
		f.add(path, "must be the path of a PEM file, not its text")
	} else if _, err := readFile(file); err != nil {
		f.add(path, "%s %v", file, err)
	}
}

func (f *found) resolvable(path string, s access.Secret) {
	if s.IsZero() {
		return
	}
	if _, err := s.Resolve(); err != nil {
		f.add(path, "%v", err)
	}
}

// certificates looks into the TLS files, so that a check finds what the start
// would.
func (f *found) certificates(c *Config) {
	if t := c.Server.TLS; t != nil {
		f.pair("server.tls.cert", t.Cert, t.Key)
		f.authorities("server.tls.client_ca", t.ClientCA)
	}
	for i := range c.Identity.OIDC {
		f.authorities(fmt.Sprintf("identity.oidc[%d].ca", i), c.Identity.OIDC[i].CA)
	}
	for i := range c.Backends {
		if t := c.Backends[i].TLS; t != nil {
			f.pair(fmt.Sprintf("backends[%d].tls.cert", i), t.Cert, t.Key)
			f.authorities(fmt.Sprintf("backends[%d].tls.ca", i), t.CA)
		}
	}
}

func (f *found) pair(path string, cert, key access.File) {
	if cert == "" || key == "" {
		return
	}
	if err := tlsfiles.CheckPair(string(cert), string(key)); err != nil {
		f.add(path, "%v", err)
	}
}

func (f *found) authorities(path string, file access.File) {
	if file == "" {
		return
	}
	if err := tlsfiles.CheckCA(string(file)); err != nil {
		f.add(path, "%v", err)
	}
}
