package identity

import "strings"

// MaxToken is the longest token that is looked at, in bytes. grpc-go takes
// headers of 16 KiB by default in most clients; real tokens are 1 to 4 KiB.
const MaxToken = 16 << 10

const scheme = "bearer "

// Bearer returns the token of the values of the authorization header or
// metadata key (RFC 6750 section 2.1; the scheme is case-insensitive, RFC 9110
// section 11.1). More than one value is refused, because whoever reads
// another one than we do would see another caller. Errors are
// [*access.Error] of kind Unauthenticated. It does not allocate when it
// succeeds.
func Bearer(values []string) (string, error) {
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", Missing()
	case len(values) > 1:
		return "", Invalid("more than one authorization header: send exactly one", nil)
	}
	value := values[0]
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		if strings.EqualFold(value, scheme[:len(scheme)-1]) {
			return "", Missing()
		}
		return "", Invalid(`the authorization header is not of the form "Bearer TOKEN"`, nil)
	}
	token := value[len(scheme):]
	switch {
	case token == "":
		return "", Missing()
	case len(token) > MaxToken:
		return "", tooLong()
	}
	return token, nil
}

func tooLong() error {
	return Invalid("it is longer than 16 KiB: ask the issuer for one with fewer claims", nil)
}
