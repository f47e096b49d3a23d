package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	fetchTimeout = 10 * time.Second
	maxAnswer    = 64 << 10
)

// FetchToken gets a token for name from the running demo's issuer at addr
// ("127.0.0.1:8004", or its URL). An error says what to do.
func FetchToken(ctx context.Context, addr, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	host := strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	if strings.HasPrefix(host, ":") {
		host = "127.0.0.1" + host
	}
	if !isLoopback(hostOf(host)) {
		return "", fmt.Errorf("the demo's issuer is on loopback only, not at %q", addr)
	}
	from := url.URL{Scheme: "http", Host: host, Path: demoToken, RawQuery: url.Values{"name": {name}}.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, from.String(), nil)
	if err != nil {
		return "", err
	}
	// No proxy: the demo is on this machine. No idle connection either.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		var refused *net.OpError
		if errors.As(err, &refused) {
			return "", fmt.Errorf("no demo answers at %s: start one with \"sluice demo\", or name its issuer with --issuer", host)
		}
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	return readAnswer(response, host)
}

func readAnswer(response *http.Response, host string) (string, error) {
	var body struct {
		tokenAnswer
		errorAnswer
	}
	err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&body)
	switch {
	case err == nil && response.StatusCode == http.StatusOK && body.Token != "":
		return body.Token, nil
	case err == nil && body.Text != "":
		return "", errors.New(body.Text)
	}
	return "", fmt.Errorf("what answers at %s is not the demo's issuer (%s)", host, response.Status)
}
