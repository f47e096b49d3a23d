package issuer

import (
	"html/template"
	"net/http"
	"slices"
)

// page is where a person enters a device's code and says who he is: a demo asks
// for no password.
var page = template.Must(template.New("device").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in to the demo</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1rem; color: #1d2733 }
input { font: inherit; letter-spacing: .1em; padding: .4rem; width: 100%; box-sizing: border-box; text-transform: uppercase }
button { font: inherit; padding: .4rem .9rem; margin: .8rem .4rem 0 0; cursor: pointer }
</style>
<h1>Log in to the demo</h1>
{{if .Said}}<p role="status">{{.Said}}</p>{{else}}
<p>A program asks to log in. Enter the code that it shows, if it is yours, and say who you are.</p>
<form method="post" action="/device">
<label>Code <input name="user_code" value="{{.Code}}" autocomplete="off" required autofocus></label>
<div>{{range .Names}}<button name="name" value="{{.}}">{{.}}</button>{{end}}<button name="name" value="">Refuse</button></div>
</form>{{end}}
</html>
`))

type pageData struct {
	Code, Said string
	Names      []string
}

// people are those who log in: ci is a program.
func people() []string { return slices.DeleteFunc(Names(), func(n string) bool { return n == CI }) }

func (i *Issuer) showPage(w http.ResponseWriter, r *http.Request) {
	writePage(w, http.StatusOK, pageData{Code: r.URL.Query().Get("user_code"), Names: people()})
}

// decide takes what the person said on the page.
func (i *Issuer) decide(w http.ResponseWriter, r *http.Request) {
	code, name := r.PostFormValue("user_code"), r.PostFormValue("name")
	switch {
	case name != "" && !slices.Contains(people(), name):
		writePage(w, http.StatusBadRequest, pageData{Said: "There is nobody of that name in the demo."})
	case !i.devices.decide(code, name, name != "", i.now()):
		writePage(w, http.StatusBadRequest, pageData{Said: "No login waits for that code: it was mistyped, used or has run out."})
	case name == "":
		writePage(w, http.StatusOK, pageData{Said: "Refused. You can close this page."})
	default:
		writePage(w, http.StatusOK, pageData{Said: "Logged in as " + name + ". You can close this page."})
	}
}

func writePage(w http.ResponseWriter, status int, data pageData) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "same-origin") // without any, a form's Origin would be null
	w.WriteHeader(status)
	_ = page.Execute(w, data) // a browser that went away is told nothing
}
