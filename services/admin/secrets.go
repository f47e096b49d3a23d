package admin

import (
	"context"
	"regexp"
	"time"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// Stored is what may be known of a stored secret.
type Stored struct {
	Name string
	// Kind is what the value is: text, bearer, basic, headers or pair.
	Kind    string
	Version int64
	// KeyID is the name of the key that the value is sealed under.
	KeyID string
	// Used is when a call last used it, to some minutes.
	Created, Rotated, Used time.Time
	// By is who set the value last: "issuer#subject".
	By string
}

// Secrets are stored credentials, which go in and do not come out. It keeps
// nothing of value, which is wiped when a method has returned. Errors are
// *access.Error.
type Secrets interface {
	// Put stores a new secret; one of the name that there is already is a conflict.
	Put(ctx context.Context, who *access.Principal, name, kind string, value []byte) (Stored, error)
	// Rotate gives a secret another value, or with none seals the present one anew.
	Rotate(ctx context.Context, who *access.Principal, name string, value []byte) (Stored, error)
	// Delete removes a secret; with force also one that is configured to be used.
	Delete(ctx context.Context, who *access.Principal, name string, force bool) error
	// List returns what is stored after a name, sorted by name.
	List(ctx context.Context, after string, limit int) ([]Stored, error)
}

// Revealed is what a token of masking's stands for.
type Revealed struct{ Token, Text, Entity string }

// Tokens are masking's. With a model, only tokens of its answers are known.
type Tokens interface {
	Reveal(ctx context.Context, who *access.Principal, model string, tokens []string) ([]Revealed, error)
}

const (
	// maxSecret bounds a secret's value, in bytes.
	maxSecret = 64 << 10
	maxTokens = 100
	maxToken  = 1 << 10
)

// secretName is what a secret may be called: it is part of a path and of
// references in a configuration.
var secretName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)

func (s *Service) checkSecret(name string, value []byte) error {
	switch {
	case s.Secrets == nil:
		return errNoStore
	case !secretName.MatchString(name):
		return malformed("id must be a name of letters, digits, '.', '_' and '-', at most 128 of them")
	case len(value) > maxSecret:
		return malformed("value is %d bytes long, more than %d", len(value), maxSecret)
	}
	return nil
}

func (s *Service) putSecret(ctx context.Context, call *access.Call, m *pb.PutSecretRequest) (*pb.PutSecretResponse, error) {
	defer clear(m.GetValue())
	if err := s.checkSecret(m.GetId(), m.GetValue()); err != nil {
		return nil, err
	}
	if len(m.GetValue()) == 0 {
		return nil, malformed("value is missing")
	}
	if refused := checkText("kind", m.GetKind(), maxID); refused != nil {
		return nil, refused
	}
	stored, err := s.Secrets.Put(ctx, call.Principal, m.GetId(), m.GetKind(), m.GetValue())
	if err != nil {
		return nil, err
	}
	return &pb.PutSecretResponse{Secret: secretOf(stored)}, nil
}

func (s *Service) rotateSecret(ctx context.Context, call *access.Call, m *pb.RotateSecretRequest) (*pb.RotateSecretResponse, error) {
	defer clear(m.GetValue())
	if err := s.checkSecret(m.GetId(), m.GetValue()); err != nil {
		return nil, err
	}
	stored, err := s.Secrets.Rotate(ctx, call.Principal, m.GetId(), m.GetValue())
	if err != nil {
		return nil, err
	}
	return &pb.RotateSecretResponse{Secret: secretOf(stored)}, nil
}

func (s *Service) deleteSecret(ctx context.Context, call *access.Call, m *pb.DeleteSecretRequest) (*pb.DeleteSecretResponse, error) {
	if err := s.checkSecret(m.GetId(), nil); err != nil {
		return nil, err
	}
	if err := s.Secrets.Delete(ctx, call.Principal, m.GetId(), m.GetForce()); err != nil {
		return nil, err
	}
	return &pb.DeleteSecretResponse{}, nil
}

func (s *Service) listSecrets(ctx context.Context, _ *access.Call, m *pb.ListSecretsRequest) (*pb.ListSecretsResponse, error) {
	if s.Secrets == nil {
		return nil, errNoStore
	}
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	found, next, err := scan(p, func(s Stored) string { return s.Name },
		func(after string) ([]Stored, error) { return s.Secrets.List(ctx, after, p.size) },
		func(Stored) bool { return true })
	if err != nil {
		return nil, err
	}
	out := &pb.ListSecretsResponse{NextPageToken: next}
	for _, stored := range found {
		out.Secrets = append(out.Secrets, secretOf(stored))
	}
	return out, nil
}

func secretOf(s Stored) *pb.Secret {
	return &pb.Secret{
		Id: s.Name, Kind: s.Kind, Version: s.Version, KeyId: s.KeyID, ChangedBy: byID(s.By),
		CreatedAt: timestamp(s.Created), RotatedAt: timestamp(s.Rotated), LastUsedAt: timestamp(s.Used),
	}
}

func (s *Service) revealTokens(ctx context.Context, call *access.Call, m *pb.RevealTokensRequest) (*pb.RevealTokensResponse, error) {
	if s.Tokens == nil {
		return nil, &access.Error{Kind: access.Unimplemented, Reason: access.ReasonUnknownRPC, Message: "no masking rule of this gateway makes tokens that could be revealed"}
	}
	if n := len(m.GetTokens()); n == 0 || n > maxTokens {
		return nil, malformed("tokens must be from 1 to %d", maxTokens)
	}
	for i, token := range m.GetTokens() {
		if token == "" || len(token) > maxToken {
			return nil, malformed("tokens[%d] is empty or longer than %d bytes", i, maxToken)
		}
	}
	if refused := checkReason(m.GetReason(), ""); refused != nil {
		return nil, refused
	}
	if m.GetReason() == "" {
		return nil, malformed("reason is missing; it is recorded with the look-up")
	}
	revealed, err := s.Tokens.Reveal(ctx, call.Principal, m.GetModel(), m.GetTokens())
	if err != nil {
		return nil, err
	}
	out := new(pb.RevealTokensResponse)
	for _, r := range revealed {
		out.Tokens = append(out.Tokens, &pb.RevealedToken{Id: r.Token, Text: r.Text, Entity: r.Entity})
	}
	return out, nil
}
