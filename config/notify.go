package config

import "github.com/sluice-gateway/sluice/notify"

// notify checks the channels, and what must hold between them.
func (f *found) notify(c *Config) {
	if len(c.Notify) == 0 {
		return
	}
	if c.Store.SQLite == "" && c.Store.Postgres.IsZero() {
		f.add("notify", "needs a store, where notifications wait to be sent; write store: { sqlite: FILE }")
	}
	if len(c.Notify) > notify.MaxChannels {
		f.add("notify", "has %d entries, more than %d", len(c.Notify), notify.MaxChannels)
	}
	names := make(map[string]int)
	for i := range c.Notify {
		path := indexed("notify", i)
		f.under(path, c.Notify[i].Validate())
		if first, taken := names[c.Notify[i].Name]; taken {
			f.add(path+".name", "%q is the name of notify[%d] too", c.Notify[i].Name, first)
		}
		names[c.Notify[i].Name] = i
	}
}
