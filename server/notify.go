package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/notify/email"
	"github.com/sluice-gateway/sluice/notify/slack"
	"github.com/sluice-gateway/sluice/notify/webhook"
)

// openChannel is the table of channels; the configuration has exactly one of them.
func openChannel(c *notify.Config, client *http.Client) notify.Channel {
	switch {
	case c.Webhook != nil:
		return webhook.New(*c.Webhook, client)
	case c.Slack != nil:
		return slack.New(*c.Slack, client)
	default:
		return email.New(*c.Email, nil)
	}
}

// notifying is what tells people; nil without a store.
type notifying struct {
	*notify.Dispatcher
	links  *notify.Links
	client *http.Client
}

func (s *Server) newNotifying() *notifying {
	if s.store == nil {
		return nil
	}
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_notifications_total", Help: "Attempts to send a notification, by channel and result: sent, failed, or gave_up after the last.",
	}, []string{"channel", "result"})
	s.registry.MustRegister(sent)
	return &notifying{
		Dispatcher: notify.New(s.store, notify.Options{Logger: s.log, Sent: func(channel, result string) { sent.WithLabelValues(channel, result).Inc() }}),
		links:      notify.NewLinks(s.store), client: notify.Client(),
	}
}

// replace puts the channels of a configuration in force.
func (n *notifying) replace(cfg *config.Config) {
	if n == nil {
		return
	}
	var entries []*notify.Entry
	for _, c := range cfg.Notify {
		texts, err := notify.NewTexts(c.Title, c.Text)
		if err != nil {
			continue // the configuration was checked, and has none
		}
		entries = append(entries, &notify.Entry{Config: c, Channel: openChannel(&c, n.client), Texts: texts})
	}
	n.Replace(entries)
}
