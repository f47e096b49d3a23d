package detect

const secretLen = 40

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
	d.info.Longest = max(d.info.Longest, secretLen)
	return d
}

// awsSecret looks for a secret behind secret_access_key and the like, whose
// "key" begins at b[at].
func awsSecret(w *window, e *entry, at int) {
	if lowered(w.b[at]) != 'k' || !precedes(w, at, "secret", "access") {
		return
	}
	lim, final := w.ahead(at)
	i := at
	for _, c := range "key" {
		if i == lim {
			if !final {
				w.wait(at) // the anchor is needed to find what is behind it
			}
			return
		}
		if rune(lowered(w.b[i])) != c {
			return
		}
		i++
	}
	from := i
	for i < lim && i-from < 8 && !is(w.b[i], isAlnum) && w.b[i] != '/' && w.b[i] != '+' {
		i++
	}
	start := i
	for i < lim && i-start <= secretLen && (is(w.b[i], isAlnum) || w.b[i] == '/' || w.b[i] == '+') {
		i++
	}
	switch {
	case i == lim && !final:
		w.wait(at)
	case i-start == secretLen:
		w.hit(e, start, i, 0.9)
	}
}

// precedes tells whether the two words stand before b[at], joined or with a
// dash, underscore or space between.
func precedes(w *window, at int, first, second string) bool {
	for _, word := range []string{second, first} {
		if is(w.before(at), isSep) {
			at--
		}
		from := at - len(word)
		if from < w.back(at) {
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
