package corpus

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
)

const (
	base32Alphabet  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	base64Alphabet  = upper + lower + digits + "+/"
	urlSafeAlphabet = upper + lower + digits + "-_"
)

// jwt draws a JSON Web Token (RFC 7519) in its compact form.
func (s *source) jwt(string) string {
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	header := map[string]string{"alg": pick(s.Rand, []string{"HS256", "RS256", "ES256"}), "typ": "JWT"}
	if s.IntN(2) == 0 {
		header["kid"] = s.some(12, hexLower)
	}
	payload := map[string]any{"sub": s.some(10, digits), "iat": 1700000000 + s.IntN(1e7), "scope": "read write"}
	length := 43
	if header["alg"] == "RS256" {
		length = 342
	}
	return encode(header) + "." + encode(payload) + "." + s.some(length, urlSafeAlphabet)
}

// awsAccessKey draws the id of a key pair.
func (s *source) awsAccessKey(string) string {
	return pick(s.Rand, []string{"AKIA", "AKIA", "ASIA"}) + s.some(16, base32Alphabet)
}

// awsSecretKey draws the other half of a key pair.
func (s *source) awsSecretKey(string) string { return s.some(40, base64Alphabet) }

func (s *source) gcpKey(string) string { return "AIza" + s.some(35, urlSafeAlphabet) }

// githubToken draws a token with its checksum: the last six characters are the
// CRC-32 of those before (GitHub's note on its token formats, April 2021).
func (s *source) githubToken(string) string {
	prefix := s.format([]string{"ghp_", "ghp_", "gho_", "ghs_", "*ghu_", "*pat"})
	if prefix == "pat" {
		return "github_pat_" + s.some(22, alnum) + "_" + s.some(59, alnum)
	}
	random := s.some(30, alnum)
	sum := uint64(crc32.ChecksumIEEE([]byte(random)))
	check := ""
	for range 6 {
		check = string(alnum[sum%62]) + check
		sum /= 62
	}
	return prefix + random + check
}

func (s *source) slackToken(string) string {
	kind := s.format([]string{"xoxb-", "xoxp-", "*xoxa-2-"})
	if kind == "xoxp-" {
		return kind + s.mask("##########-###########-###########-") + s.some(32, hexLower)
	}
	return kind + s.mask("############-#############-") + s.some(24, alnum)
}

func (s *source) stripeKey(string) string {
	return s.format([]string{"sk_live_", "sk_live_", "*rk_live_"}) + s.some(pick(s.Rand, []int{24, 99}), alnum)
}

// openAIKey draws a key of the old or the new form; both have a fixed word in the
// middle.
func (s *source) openAIKey(string) string {
	const middle = "T3BlbkFJ"
	if s.IntN(3) == 0 {
		return "sk-" + s.some(20, alnum) + middle + s.some(20, alnum)
	}
	n := 74
	return s.format([]string{"sk-proj-", "*sk-svcacct-"}) + s.some(n, urlSafeAlphabet) + middle + s.some(n, urlSafeAlphabet)
}

// privateKey draws a block as RFC 7468 has it: plain, indented as in YAML, or
// with its line ends escaped as in JSON.
func (s *source) privateKey(arg string) string {
	label := s.format([]string{"PRIVATE KEY", "RSA PRIVATE KEY", "*EC PRIVATE KEY", "*OPENSSH PRIVATE KEY", "*ENCRYPTED PRIVATE KEY"})
	var lines []string
	for range s.between(3, 25) {
		lines = append(lines, s.some(64, base64Alphabet))
	}
	lines = append(lines, s.some(s.between(4, 60), base64Alphabet)+"=")
	end := map[string]string{"": "\n", "indented": "\n    ", "escaped": `\n`}[arg]
	return fmt.Sprintf("-----BEGIN %s-----%s%s%s-----END %[1]s-----", label, end, strings.Join(lines, end), end)
}
