package identitytest

import (
	"bufio"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"path"
	"strings"
	"testing"
)

//go:embed hostile/*.txt
var corpus embed.FS

// attack is one file of the corpus. Its lines are "word: value"; lines that
// begin with # say why.
//
//	header: {"crit":["x"]}    put over the header of a good token; null takes out
//	payload: {"exp":null}     the same for the payload
//	header-text: …            the header, as it is
//	payload-text: …           the payload, as it is; <<N*text>> repeats text
//	sign: ec                  ec, rsa, stranger, none, empty, mac-pem, mac-jwk, mac-empty, flip, loose
//	token: …                  the whole token; {H} {P} {S} are the parts of a good one
//	want: TOKEN_INVALID       the reason of the refusal
//	text: not signed          what the caller is told holds this
type attack map[string]string

// hostile shows each token of the corpus, alone and after a good one.
func (s suite) hostile(t *testing.T) {
	files, err := corpus.ReadDir("hostile")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("the corpus has %d files only", len(files))
	}
	for _, file := range files {
		text, err := corpus.ReadFile(path.Join("hostile", file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		s.bubble(t, strings.TrimSuffix(file.Name(), ".txt"), func(t *testing.T, p *play) {
			a := parseAttack(t, string(text))
			token := a.token(t, p.issuer)
			p.refuses(t, token, a["want"], a["text"])
			good := p.issuer.Token(t, EC(), nil)
			p.takes(t, good)
			p.refuses(t, token, a["want"], a["text"])
			p.takes(t, good)
		})
	}
}

func parseAttack(t *testing.T, text string) attack {
	t.Helper()
	a := attack{"sign": "ec"}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		word, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("cannot read %q", line)
		}
		a[word] = strings.TrimPrefix(value, " ")
	}
	if a["want"] == "" || a["text"] == "" {
		t.Fatal("the file does not say what it wants")
	}
	return a
}

func (a attack) token(t *testing.T, issuer *Issuer) string {
	t.Helper()
	key := map[string]func() Key{"rsa": RSA, "stranger": Stranger, "mac-pem": RSA, "mac-jwk": RSA}[a["sign"]]
	if key == nil {
		key = EC
	}
	k := key()
	header := encode(t, merge(map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "at+jwt"}, a.object(t, "header")))
	payload := encode(t, issuer.Claims(a.object(t, "payload")))
	if text, ok := a["header-text"]; ok {
		header = []byte(expand(text))
	}
	if text, ok := a["payload-text"]; ok {
		payload = []byte(expand(text))
	}
	token := a.sign(t, k, header, payload)
	if form, ok := a["token"]; ok {
		part := strings.Split(token, ".")
		token = expand(strings.NewReplacer("{H}", part[0], "{P}", part[1], "{S}", part[2], `\r`, "\r", `\n`, "\n").Replace(form))
	}
	return token
}

func (a attack) object(t *testing.T, word string) map[string]any {
	t.Helper()
	var object map[string]any
	if text, ok := a[word]; ok {
		if err := json.Unmarshal([]byte(expand(text)), &object); err != nil {
			t.Fatalf("%s: %v", word, err)
		}
	}
	return object
}

func (a attack) sign(t *testing.T, k Key, header, payload []byte) string {
	t.Helper()
	switch a["sign"] {
	case "none":
		return join(header, payload) + "."
	case "empty":
		return join(header, payload) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	case "mac-empty":
		return MAC(nil, header, payload)
	case "mac-pem":
		der, err := x509.MarshalPKIXPublicKey(k.private.Public())
		if err != nil {
			t.Fatal(err)
		}
		return MAC(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), header, payload)
	case "mac-jwk":
		return MAC(encode(t, k.JWK()), header, payload)
	case "flip":
		token := SignText(t, k, header, payload)
		other := map[bool]string{true: "B", false: "A"}[token[len(token)-20] == 'A']
		return token[:len(token)-20] + other + token[len(token)-19:]
	case "loose": // the last character holds bits that nobody reads
		token := SignText(t, k, header, payload)
		return token[:len(token)-1] + string(token[len(token)-1]+1)
	}
	return SignText(t, k, header, payload)
}

// expand writes out <<N*text>>.
func expand(text string) string {
	before, rest, ok := strings.Cut(text, "<<")
	if !ok {
		return text
	}
	what, after, _ := strings.Cut(rest, ">>")
	count, part, _ := strings.Cut(what, "*")
	n := 0
	for _, c := range count {
		n = 10*n + int(c-'0')
	}
	return before + strings.Repeat(part, n) + expand(after)
}
