package config

import "time"

// minSealed is the shortest time that payloads are kept: their keys are of days.
const minSealed = 24 * time.Hour

// payloads checks what is kept of what is said, and that it can be sealed.
func (f *found) payloads(c *Config) {
	p := &c.Audit.Payload
	f.under("audit", p.Validate())
	if !p.LookUpKey.IsZero() && (!c.HasLog() || c.Secrets.Key.IsZero()) {
		f.add("audit.look_up_key", "needs a log and secrets.key, as payloads do")
	}
	switch {
	case !p.Keeps():
		return
	case !c.HasLog():
		f.add("audit.payloads", "are kept in the audit log, and there is none; write audit: { sqlite: PATH } or audit: { postgres: ${NAME} }, or a store")
	case c.Secrets.Key.IsZero():
		f.add("audit.payloads", "are kept sealed, which needs a key; write secrets: { key: file:PATH }, and make one with `sluice secrets key new`")
	case c.Audit.Retain > 0 && c.Audit.Retain < minSealed:
		f.add("audit.retain", "must be 0 (for ever) or at least 24h where payloads are kept: their keys are those of days")
	}
}
