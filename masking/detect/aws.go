package detect

const (
	secretLen = 40
	maxAssign = 8 // what may stand between name and secret: ": \"
)

// awsKey finds the ids of access keys, and the secrets that follow the name
// under which they are configured.
var awsKey = newAWSKey()

func newAWSKey() *Detector {
	d := newKeys(Info{"AWS_KEY", "AWS access key ids, and secret access keys behind their name", 0, 0.5},
		keyForm{prefix: "AKIA", body: isCapital, least: 16, most: 16},
		keyForm{prefix: "ASIA", body: isCapital, least: 16, most: 16},
		keyForm{prefix: "ABIA", body: isCapital, least: 16, most: 16},
		keyForm{prefix: "ACCA", body: isCapital, least: 16, most: 16},
	)
	// An id names a key and does not open anything, but scanners of leaked
	// secrets look for it, and a secret stands beside it.
	ids := d.verify
	behind := d.behind
	d.anchors += "kK"
	d.behind = func(anchor, before byte) bool {
		return behind(anchor, before) || lowered(anchor) == 'k' && (is(before, isSep) || lowered(before) == 's')
	}
	d.verify = func(w *window, e *entry, at int) {
		ids(w, e, at)
		awsSecret(w, e, at)
	}
	d.lead = len("key") + maxAssign
	d.info.Longest = max(d.info.Longest, secretLen)
	return d
}

// awsSecret looks for a secret behind secret_access_key and the like, whose
// "key" begins at b[at].
func awsSecret(w *window, e *entry, at int) {
	if lowered(w.b[at]) != 'k' {
		return
	}
	i := at
	for _, c := range "key" {
		if i == len(w.b) {
			w.waitFor(at)
			return
		}
		if rune(lowered(w.b[i])) != c {
			return
		}
		i++
	}
	for from := i; i < len(w.b) && i-from < maxAssign && !inSecret(w.b[i]); i++ {
	}
	if i == len(w.b) {
		w.waitFor(at)
		return
	}
	start := i
	if start < w.floor || !precedes(w, at, w.back(start), "secret", "access") {
		return
	}
	lim, final := w.ahead(start)
	for i < lim && i-start <= secretLen && inSecret(w.b[i]) {
		i++
	}
	switch {
	case i == lim && !final:
		w.wait(start)
	case i-start == secretLen:
		w.hit(e, start, i, 0.9)
	}
}

// inSecret: a secret is base64 of 30 bytes.
func inSecret(b byte) bool { return is(b, isAlnum) || b == '/' || b == '+' }

// precedes tells whether the two words stand between back and b[at], joined or
// with a dash, underscore or space between.
func precedes(w *window, at, back int, first, second string) bool {
	for _, word := range []string{second, first} {
		if at > back && is(w.b[at-1], isSep) {
			at--
		}
		from := at - len(word)
		if from < back {
			return false
		}
		for k := range len(word) {
			if lowered(w.b[from+k]) != word[k] {
				return false
			}
		}
		at = from
	}
	return true
}
