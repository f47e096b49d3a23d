package notify_test

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gateway/sluice/notify"
)

const (
	goodWebhook = `webhook: {url: "https://hook.example/x", secret: "${A}"}`
	goodSlack   = `slack: {url: "${A}", signing_secret: "${B}"}`
	goodEmail   = `email: {smtp: "mail.example:587", from: sluice@example.com, to: [a@example.com], username: u, password: "${A}"}`
)

func TestConfig(t *testing.T) {
	tests := map[string]struct{ yaml, path, says string }{
		"a webhook":              {`{name: a, ` + goodWebhook + `}`, "", ""},
		"Slack":                  {`{name: a, ` + goodSlack + `}`, "", ""},
		"mail":                   {`{name: a, ` + goodEmail + `, events: [requested, break_glass], groups: [x], page: "https://sluice.example"}`, "", ""},
		"mail to a local server": {`{name: a, email: {smtp: "127.0.0.1:25", from: s@localhost, to: [a@b], tls: none}}`, "", ""},
		"no name":                {`{` + goodWebhook + `}`, "name", "1 to 64"},
		"a name for a path":      {`{name: "a/b", ` + goodWebhook + `}`, "name", "1 to 64"},
		"none":                   {`{name: a}`, "", "exactly one"},
		"two":                    {`{name: a, ` + goodWebhook + `, ` + goodEmail + `}`, "", "exactly one"},
		"another event":          {`{name: a, ` + goodWebhook + `, events: [aproved]}`, "events[0]", `did you mean "approved"`},
		"plaintext":              {`{name: a, webhook: {url: "http://hook.example", secret: "${A}"}}`, "webhook.url", "plaintext"},
		"no URL":                 {`{name: a, webhook: {url: "file:///etc/passwd", secret: "${A}"}}`, "webhook.url", "must be a URL"},
		"a password in it":       {`{name: a, webhook: {url: "https://u:hunter2@hook.example", secret: "${A}"}}`, "webhook.url", "password in it"},
		"unsigned":               {`{name: a, webhook: {url: "https://hook.example"}}`, "webhook.secret", "is missing"},
		"no URL of Slack's":      {`{name: a, slack: {}}`, "slack.url", "is missing"},
		"linked for ever":        {`{name: a, slack: {url: "${A}", link_for: 1000h}}`, "slack.link_for", "between"},
		"no port":                {`{name: a, email: {smtp: mail, from: a@b, to: [a@b]}}`, "email.smtp", "host:port"},
		"plaintext mail":         {`{name: a, email: {smtp: "mail.example:25", from: a@b, to: [a@b], tls: none}}`, "email.tls", "loopback only"},
		"another way":            {`{name: a, email: {smtp: "mail.example:25", from: a@b, to: [a@b], tls: startls}}`, "email.tls", `did you mean "starttls"`},
		"no password":            {`{name: a, email: {smtp: "mail.example:25", from: a@b, to: [a@b], username: u}}`, "email.password", "is missing"},
		"no sender":              {`{name: a, email: {smtp: "mail.example:25", to: [a@b]}}`, "email.from", "address"},
		"nobody":                 {`{name: a, email: {smtp: "mail.example:25", from: a@b}}`, "email.to", "is missing"},
		"a header in an address": {`{name: a, email: {smtp: "mail.example:25", from: a@b, to: ["a@b>\r\nBcc: c@d"]}}`, "email.to[0]", "address"},
		"a page that is none":    {`{name: a, ` + goodWebhook + `, page: sluice}`, "page", "must be a URL"},
		"a template":             {`{name: a, ` + goodWebhook + `, text: "{{.Prompt}}"}`, "text", "Prompt"},
		"gives up at once":       {`{name: a, ` + goodWebhook + `, give_up: 1s}`, "give_up", "between"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c notify.Config
			if err := yaml.Unmarshal([]byte(tt.yaml), &c); err != nil {
				t.Fatal(err)
			}
			c.SetDefaults()
			if c.Slack != nil {
				c.Slack.SetDefaults()
			}
			if c.Email != nil {
				c.Email.SetDefaults()
			}
			problems := c.Validate()
			if tt.says == "" {
				if len(problems) > 0 {
					t.Errorf("got %v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Path != tt.path || !strings.Contains(problems[0].Message, tt.says) || strings.Contains(problems[0].Message, "hunter2") {
				t.Errorf("got %v", problems)
			}
		})
	}
	var c notify.Config
	if c.SetDefaults(); c.GiveUp != 24*time.Hour {
		t.Errorf("gives up after %v", c.GiveUp)
	}
}
