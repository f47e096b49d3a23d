package issuer

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// deviceGrant is the grant type of RFC 8628 section 3.4.
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	// deviceLife is how long a code can be entered, interval how often a device
	// may ask, slowDown what asking too often adds to that (section 3.5).
	deviceLife = 10 * time.Minute
	interval   = time.Second
	slowDown   = 5 * time.Second
	// refreshLife is how long a refresh token is good.
	refreshLife = 24 * time.Hour
	// maxDevices and maxRefreshes bound what is remembered.
	maxDevices   = 1000
	maxRefreshes = 10_000
	devicePage   = "/device"
)

// devices are the logins by device flow that are under way, and the refresh
// tokens that came of them. It is safe for concurrent use.
type devices struct {
	mu        sync.Mutex
	waiting   map[string]*device // by device code
	refreshes map[string]refresh // by token
}

type device struct {
	user    string // the code that a person enters
	expires time.Time
	// asked is when the device asked last, every how often it may.
	asked time.Time
	every time.Duration
	// name is who agreed; denied tells that somebody refused.
	name   string
	denied bool
}

type refresh struct {
	name    string
	expires time.Time
}

func newDevices() *devices {
	return &devices{waiting: make(map[string]*device), refreshes: make(map[string]refresh)}
}

// begin makes a login that waits for a person; false if too many do.
func (d *devices) begin(now time.Time) (code string, begun device, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for code, w := range d.waiting {
		if now.After(w.expires.Add(deviceLife)) { // until then a device is told that it has expired
			delete(d.waiting, code)
		}
	}
	if len(d.waiting) >= maxDevices {
		return "", device{}, false
	}
	code = rand.Text()
	w := &device{user: userCode(), expires: now.Add(deviceLife), every: interval}
	d.waiting[code] = w
	return code, *w, true
}

// userCode is eight letters that make no word (RFC 8628 section 6.1).
func userCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	var b strings.Builder
	for i, c := range rand.Text()[:8] { // base 32: some letters come twice as often, for a demo
		if i == 4 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[int(c)%len(letters)])
	}
	return b.String()
}

// decide has a person agree or refuse; false if the code is not one that waits.
func (d *devices) decide(user, name string, agreed bool, now time.Time) bool {
	user = strings.ToUpper(strings.TrimSpace(user))
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waiting {
		if w.user == user && w.name == "" && !w.denied && now.Before(w.expires) {
			w.name, w.denied = name, !agreed
			return true
		}
	}
	return false
}

// poll is a device asking: whose token it gets, or the error's code.
func (d *devices) poll(code string, now time.Time) (name, wrong string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.waiting[code]
	early := w != nil && now.Sub(w.asked) < w.every-w.every/10 // clocks of both ends tick apart
	if w != nil {
		w.asked = now
	}
	switch {
	case w == nil:
		return "", "invalid_grant"
	case now.After(w.expires):
		return "", "expired_token"
	case early:
		w.every += slowDown
		return "", "slow_down"
	case w.denied:
		delete(d.waiting, code)
		return "", "access_denied"
	case w.name == "":
		return "", "authorization_pending"
	}
	delete(d.waiting, code)
	return w.name, ""
}

// keep makes a refresh token for somebody; "" if there are too many.
func (d *devices) keep(name string, now time.Time) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for token, r := range d.refreshes {
		if now.After(r.expires) {
			delete(d.refreshes, token)
		}
	}
	if len(d.refreshes) >= maxRefreshes {
		return ""
	}
	token := rand.Text()
	d.refreshes[token] = refresh{name: name, expires: now.Add(refreshLife)}
	return token
}

// use takes a refresh token, which is good for once.
func (d *devices) use(token string, now time.Time) (name string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.refreshes[token]
	delete(d.refreshes, token)
	return r.name, ok && now.Before(r.expires)
}

// deviceAnswer is that of RFC 8628 section 3.2.
type deviceAnswer struct {
	Code     string `json:"device_code"`
	User     string `json:"user_code"`
	At       string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Seconds  int    `json:"expires_in"`
	Interval int    `json:"interval"`
}

// authorizeDevice is where a device begins.
func (i *Issuer) authorizeDevice(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("client_id") != client {
		fail(w, http.StatusUnauthorized, "invalid_client", "people log in as the client "+client)
		return
	}
	code, begun, ok := i.devices.begin(i.now())
	if !ok {
		fail(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many logins are under way")
		return
	}
	at := i.url + devicePage
	answer(w, http.StatusOK, deviceAnswer{
		Code: code, User: begun.user, At: at, Complete: at + "?user_code=" + url.QueryEscape(begun.user),
		Seconds: int(deviceLife / time.Second), Interval: int(interval / time.Second),
	})
}

// deviceToken is where a device asks for its token.
func (i *Issuer) deviceToken(w http.ResponseWriter, r *http.Request) {
	name, wrong := i.devices.poll(r.PostFormValue("device_code"), i.now())
	if wrong != "" {
		fail(w, http.StatusBadRequest, wrong, "")
		return
	}
	i.giveWith(w, name, i.devices.keep(name, i.now()))
}

// refreshToken gives a new token, and the next refresh token.
func (i *Issuer) refreshToken(w http.ResponseWriter, r *http.Request) {
	name, ok := i.devices.use(r.PostFormValue("refresh_token"), i.now())
	if !ok {
		fail(w, http.StatusBadRequest, "invalid_grant", "the refresh token was used before, has run out, or is of another demo")
		return
	}
	i.giveWith(w, name, i.devices.keep(name, i.now()))
}
