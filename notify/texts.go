package notify

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"text/template"
	"unicode"

	"github.com/sluice-gateway/sluice/access"
)

// The texts of all channels, unless a channel has its own.
const (
	defaultTitle = `{{.Who}} {{if eq .Event "requested"}}asks to{{else if eq .Event "break_glass"}}broke the glass to{{else if eq .Event "approved"}}may now{{else if eq .Event "denied"}}may not{{else if eq .Event "expired"}}was not answered, and may not{{else}}may no longer{{end}} {{.Verb}}{{with .Model}} {{.}}{{end}}`

	defaultText = `{{with .Reason}}Reason: {{.}}
{{end}}{{with .Ticket}}Ticket: {{.}}
{{end}}{{with .Guard}}Guard: {{.}}
{{end}}{{with .Decider}}{{if eq $.Event "break_glass"}}By: {{else}}Decided by: {{end}}{{.}}
{{end}}{{if and (eq .Event "requested") .By}}Approvers: {{range $i, $g := .By}}{{if $i}}, {{end}}{{$g}}{{end}}
{{end}}{{if not .Expires.IsZero}}{{if eq .Event "requested"}}Open until: {{else}}Until: {{end}}{{.Expires.UTC.Format "2006-01-02 15:04:05 UTC"}}
{{end}}{{with .Request}}Request: {{.}}
{{end}}{{with .Grant}}Grant: {{.}}
{{end}}{{if and (eq .Event "requested") .Request}}sluice approvals approve {{.Request}} --reason …
{{end}}`
)

const (
	// maxTitle and maxText bound what a message says, in bytes; maxField bounds what
	// callers wrote in it.
	maxTitle = 200
	maxText  = 4000
	maxField = 1000
)

// Texts writes what a message says. It is safe for concurrent use.
type Texts struct{ title, text *template.Template }

// TextError says which of the two templates is wrong.
type TextError struct {
	Field string // "title" or "text"
	Err   error
}

// Error says what is wrong.
func (e *TextError) Error() string { return e.Field + ": " + e.Err.Error() }

// NewTexts takes templates; an empty one is the default. Each is tried on a
// notification, so that one that can't work is refused here.
func NewTexts(title, text string) (*Texts, *TextError) {
	var t Texts
	for _, one := range []struct {
		name, source string
		into         **template.Template
	}{{"title", cmp.Or(title, defaultTitle), &t.title}, {"text", cmp.Or(text, defaultText), &t.text}} {
		parsed, err := template.New(one.name).Option("missingkey=error").Parse(one.source)
		if err != nil {
			return nil, &TextError{one.name, err}
		}
		*one.into = parsed
		if _, err := write(parsed, view{Notification: access.Notification{Event: access.EventRequested, By: []string{"approvers"}}}, maxText); err != nil {
			return nil, &TextError{one.name, err}
		}
	}
	return &t, nil
}

// view is what a template sees.
type view struct {
	access.Notification
	// Who and Decider are names, or who it is where there is no name.
	Who, Decider, Link string
}

// Write makes the message of n. page is the console's URL, or empty.
func (t *Texts) Write(id string, n access.Notification, page string) (Message, error) {
	for _, s := range []*string{&n.RequesterName, &n.Requester, &n.ActorName, &n.Actor, &n.Model, &n.Reason, &n.Ticket, &n.Guard} {
		*s = plain(*s)
	}
	v := view{Notification: n, Who: cmp.Or(n.RequesterName, n.Requester), Decider: cmp.Or(n.ActorName, n.Actor), Link: link(page, n)}
	title, err := write(t.title, v, maxTitle)
	if err != nil {
		return Message{}, err
	}
	text, err := write(t.text, v, maxText)
	if err != nil {
		return Message{}, err
	}
	return Message{ID: id, Notification: n, Title: strings.Join(strings.Fields(title), " "), Text: strings.TrimSpace(text), Link: v.Link}, nil
}

// link is the page of the request, or of the grant where there is none.
func link(page string, n access.Notification) string {
	base := strings.TrimSuffix(page, "/")
	switch {
	case page == "":
		return ""
	case n.Request != "":
		return base + "/approvals/" + url.PathEscape(n.Request)
	case n.Grant != "":
		return base + "/grants/" + url.PathEscape(n.Grant)
	}
	return page
}

// bounded keeps what a template writes to a bound; a template of an operator's
// may loop.
type bounded struct {
	bytes.Buffer
	left int
}

var errLong = fmt.Errorf("writes more than %d bytes", 4*maxText)

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errLong
	}
	return b.Buffer.Write(p)
}

func write(t *template.Template, v view, limit int) (string, error) {
	out := bounded{left: 4 * maxText}
	if err := t.Execute(&out, v); err != nil {
		return "", err
	}
	return cut(out.String(), limit), nil
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
}

// plain takes out of a caller's text what is not seen or turns writing around:
// a reason must not look like a line of ours.
func plain(s string) string {
	return cut(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�")), maxField)
}
