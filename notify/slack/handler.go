package slack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/notify"
)

// Path is where Slack's app has to send what is pressed ("Interactivity request
// URL").
const Path = "/v1/slack/actions"

const (
	// maxBody bounds a request, in bytes; Slack's have a few thousand.
	maxBody = 64 << 10
	// window is how old a request may be, and how far in the future.
	window = 5 * time.Minute
	// patience bounds all that a press does: Slack waits three seconds.
	patience = 2500 * time.Millisecond
)

// App is one entry of notify that has buttons.
type App struct {
	Name   string
	Config notify.SlackConfig
	// Page is the URL of the console; empty if there is none.
	Page string
}

// Options are what a [Handler] needs.
type Options struct {
	// Apps gives the entries in force.
	Apps  func() []App
	Links *notify.Links
	// Decide approves or denies a request in the name of a linked person, whose
	// groups are those of when he linked himself: it has to check him as it checks
	// each caller, that nobody has ended him meanwhile too. An access.Error of its is
	// shown to him.
	Decide func(ctx context.Context, who *access.Principal, request string, approve bool) error
	// Refused, if set, hears of a press that nobody was asked to decide on: who pressed
	// is not linked ([notify.ErrNoLink]), or that can't be found out.
	Refused func(ctx context.Context, who notify.Outsider, request string, err error)
	// Client posts answers; ResponseHost is where to, hooks.slack.com if empty.
	Client       *http.Client
	ResponseHost string
	Logger       *slog.Logger
	// Now is the time; time.Now if nil.
	Now func() time.Time
}

// Handler answers when somebody presses a button. Who is not Slack, by its
// signature, learns nothing and changes nothing.
type Handler struct{ o Options }

// NewHandler returns a handler for [Path].
func NewHandler(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ResponseHost == "" {
		o.ResponseHost = "hooks.slack.com"
	}
	return &Handler{o}
}

// ServeHTTP answers one press.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	// A stranger may not hold a connection by sending slowly.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(2 * patience))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "too large, or cut off", http.StatusBadRequest)
		return
	}
	app, ok := h.verify(r.Header, body)
	if !ok {
		http.Error(w, "not signed by Slack", http.StatusUnauthorized)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	// What is signed is used once. For twice the window, since what comes from a
	// clock ahead of ours stays fresh for that long.
	first, err := h.o.Links.Once(ctx, r.Header.Get("X-Slack-Signature"), h.o.Now().Add(2*window+time.Minute))
	switch {
	case err != nil:
		h.o.Logger.LogAttrs(ctx, slog.LevelWarn, "slack: a button was pressed and the store is away", slog.Any("error", err))
		http.Error(w, "try again in a few seconds", http.StatusServiceUnavailable)
		return
	case !first:
		http.Error(w, "seen before", http.StatusConflict)
		return
	}
	p, err := parse(body)
	if err != nil {
		http.Error(w, "not a press of a button", http.StatusBadRequest)
		return
	}
	if a := p.Actions[0]; a.ID == actionApprove || a.ID == actionDeny {
		h.answer(ctx, p.ResponseURL, h.press(ctx, app, p))
	}
	w.WriteHeader(http.StatusOK)
}

// verify finds the app whose secret has signed the body lately. All are tried, in
// constant time each.
func (h *Handler) verify(header http.Header, body []byte) (found App, ok bool) {
	stamp, signature := header.Values("X-Slack-Request-Timestamp"), header.Values("X-Slack-Signature")
	if len(stamp) != 1 || len(signature) != 1 {
		return found, false
	}
	seconds, err := strconv.ParseInt(stamp[0], 10, 64)
	if err != nil {
		return found, false
	}
	if age := h.o.Now().Sub(time.Unix(seconds, 0)); age > window || age < -window {
		return found, false
	}
	for _, app := range h.o.Apps() {
		secret, err := app.Config.SigningSecret.Resolve()
		if err == nil && hmac.Equal([]byte(sign(secret, stamp[0], body)), []byte(signature[0])) {
			found, ok = app, true
		}
	}
	return found, ok
}

// sign is Slack's signature v0.
func sign(secret, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	// Writing to a hash never fails.
	_, _ = mac.Write([]byte("v0:" + stamp + ":"))
	_, _ = mac.Write(body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// pressed is what Slack says of a press, as far as it counts here.
type pressed struct {
	Type string `json:"type"`
	User struct {
		ID       string `json:"id"`
		Username string `json:"username"`
		TeamID   string `json:"team_id"`
	} `json:"user"`
	Team struct {
		ID string `json:"id"`
	} `json:"team"`
	Actions []struct {
		ID    string `json:"action_id"`
		Value string `json:"value"`
	} `json:"actions"`
	ResponseURL string `json:"response_url"`
}

func parse(body []byte) (p pressed, err error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return p, err
	}
	if len(form["payload"]) != 1 {
		return p, errors.New("one payload is needed")
	}
	if err := json.Unmarshal([]byte(form.Get("payload")), &p); err != nil {
		return p, err
	}
	if p.Type != "block_actions" || len(p.Actions) != 1 || p.User.ID == "" {
		return p, errors.New("no press of one button by somebody")
	}
	return p, nil
}

// press decides if the user is linked, and says what to answer him.
func (h *Handler) press(ctx context.Context, app App, p pressed) string {
	// Of a channel that two workspaces share, the user's own is the one that counts.
	who := notify.Outsider{Channel: app.Name, Team: p.User.TeamID, User: p.User.ID, Name: p.User.Username, For: app.Config.LinkFor}
	if who.Team == "" {
		who.Team = p.Team.ID
	}
	action := p.Actions[0]
	approve := action.ID == actionApprove
	principal, err := h.o.Links.Find(ctx, who)
	if err != nil && h.o.Refused != nil {
		h.o.Refused(ctx, who, action.Value, err)
	}
	if errors.Is(err, notify.ErrNoLink) {
		return h.unlinked(ctx, app, who)
	}
	if err == nil {
		err = h.o.Decide(ctx, principal, action.Value, approve)
	}
	if refused, ours := access.AsError(err); ours && refused != nil {
		return escape.Replace(refused.Message)
	}
	if err != nil {
		h.o.Logger.LogAttrs(ctx, slog.LevelError, "slack: a button was pressed in vain", slog.String("request", action.Value), slog.Any("error", err))
		return "That did not work; the gateway's log says why. Use the console or the command line."
	}
	h.o.Logger.LogAttrs(ctx, slog.LevelInfo, "slack: a button was pressed", slog.String("request", action.Value), slog.Bool("approve", approve), slog.String("by", principal.ID()), slog.String("slack_user", who.User))
	if approve {
		return "Your approval counts, as " + escape.Replace(principal.Name) + "."
	}
	return "Denied, as " + escape.Replace(principal.Name) + "."
}

// unlinked tells a user whom nobody knows how to become known.
func (h *Handler) unlinked(ctx context.Context, app App, who notify.Outsider) string {
	out := "Nothing was decided: you are not linked to a login, or not any more."
	code, err := h.o.Links.Code(ctx, who)
	if err != nil {
		h.o.Logger.LogAttrs(ctx, slog.LevelWarn, "slack: no code could be made", slog.Any("error", err))
	} else {
		out += "\nTo link yourself, run within ten minutes: `sluice approvals link-slack " + code + "`\nTell the code nobody."
	}
	if app.Page != "" {
		out += "\nOr decide here: " + app.Page
	}
	return out
}

// answer shows text to the user alone. Where to is in a request that Slack has
// signed; it still goes nowhere but to Slack.
func (h *Handler) answer(ctx context.Context, to, text string) {
	u, err := url.Parse(to)
	if err != nil || u.Host != h.o.ResponseHost || u.Scheme != "https" && u.Hostname() != "127.0.0.1" || u.User != nil {
		return
	}
	body, err := json.Marshal(map[string]any{"response_type": "ephemeral", "replace_original": false, "text": text})
	if err == nil {
		err = notify.Post(ctx, h.o.Client, to, body, nil)
	}
	if err != nil {
		h.o.Logger.LogAttrs(ctx, slog.LevelWarn, "slack: the answer to a press could not be shown", slog.Any("error", err))
	}
}
