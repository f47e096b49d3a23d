package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/secret"
)

// Secrets are stored credentials, which go in and do not come out;
// [secret.Credentials] keeps them.
type Secrets interface {
	Put(ctx context.Context, who *access.Principal, name string, kind secret.Kind, value secret.Bytes) (secret.Info, error)
	Rotate(ctx context.Context, who *access.Principal, name string, value secret.Bytes) (secret.Info, error)
	Delete(ctx context.Context, name string, force bool) error
	List(ctx context.Context, after string, limit int) ([]secret.Info, error)
}

// Tokens are masking's; [secret.Tokens] keeps them.
type Tokens interface {
	Reveal(ctx context.Context, who *access.Principal, model string, tokens []string) ([]secret.Revealed, error)
}

var (
	_ Secrets = (*secret.Credentials)(nil)
	_ Tokens  = (*secret.Tokens)(nil)
)

// maxToken bounds a token, in bytes.
const maxToken = 1 << 10

func (s *Service) checkSecret(name string, value []byte) error {
	if s.Secrets == nil {
		return errNoSecrets
	}
	if refused := secret.CheckName(name); refused != nil {
		return refused
	}
	if len(value) > secret.MaxValue {
		return malformed("value is %d bytes long, more than %d", len(value), secret.MaxValue)
	}
	return nil
}

func (s *Service) putSecret(ctx context.Context, call *access.Call, m *pb.PutSecretRequest) (*pb.PutSecretResponse, error) {
	defer clear(m.GetValue())
	if err := s.checkSecret(m.GetId(), m.GetValue()); err != nil {
		return nil, err
	}
	call.Object = m.GetId() // a name by now: what is none may be a value
	if len(m.GetValue()) == 0 {
		return nil, malformed("value is missing")
	}
	kind := cmp.Or(secret.Kind(m.GetKind()), secret.Text)
	if !slices.Contains(secret.Kinds(), kind) {
		return nil, malformed("kind %s is not one; kinds are %v", access.Quote(m.GetKind()), secret.Kinds())
	}
	stored, err := s.Secrets.Put(ctx, call.Principal, m.GetId(), kind, secret.NewBytes(m.GetValue()))
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
	call.Object = m.GetId() // a name by now: what is none may be a value
	stored, err := s.Secrets.Rotate(ctx, call.Principal, m.GetId(), secret.NewBytes(m.GetValue()))
	if err != nil {
		return nil, err
	}
	return &pb.RotateSecretResponse{Secret: secretOf(stored)}, nil
}

func (s *Service) deleteSecret(ctx context.Context, call *access.Call, m *pb.DeleteSecretRequest) (*pb.DeleteSecretResponse, error) {
	if err := s.checkSecret(m.GetId(), nil); err != nil {
		return nil, err
	}
	call.Object = m.GetId() // a name by now: what is none may be a value
	if err := s.Secrets.Delete(ctx, m.GetId(), m.GetForce()); err != nil {
		return nil, err
	}
	return &pb.DeleteSecretResponse{}, nil
}

func (s *Service) listSecrets(ctx context.Context, _ *access.Call, m *pb.ListSecretsRequest) (*pb.ListSecretsResponse, error) {
	if s.Secrets == nil {
		return nil, errNoSecrets
	}
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	found, next, err := scan(p, func(i secret.Info) string { return i.Name },
		func(after string) ([]secret.Info, error) { return s.Secrets.List(ctx, after, p.size) },
		func(secret.Info) bool { return true })
	if err != nil {
		return nil, err
	}
	out := &pb.ListSecretsResponse{NextPageToken: next}
	for _, stored := range found {
		out.Secrets = append(out.Secrets, secretOf(stored))
	}
	return out, nil
}

func secretOf(i secret.Info) *pb.Secret {
	return &pb.Secret{
		Id: i.Name, Kind: string(i.Kind), Version: i.Version, KeyId: i.KeyID,
		CreatedAt: timestamp(i.Created), RotatedAt: timestamp(i.Rotated), LastUsedAt: timestamp(i.Used),
		ChangedBy: person(approval.Person{Issuer: i.By.Issuer, Subject: i.By.Subject, Name: i.By.Name, Kind: i.By.Kind}),
	}
}

func (s *Service) revealTokens(ctx context.Context, call *access.Call, m *pb.RevealTokensRequest) (*pb.RevealTokensResponse, error) {
	if s.Tokens == nil {
		return nil, &access.Error{Kind: access.Unimplemented, Reason: access.ReasonUnknownRPC, Message: "no masking rule of this gateway makes tokens that could be revealed"}
	}
	if n := len(m.GetTokens()); n == 0 || n > secret.MaxReveal {
		return nil, malformed("tokens must be from 1 to %d", secret.MaxReveal)
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
	call.Object, call.Detail = strings.Join(m.GetTokens(), " "), m.GetReason()
	revealed, err := s.Tokens.Reveal(ctx, call.Principal, m.GetModel(), m.GetTokens())
	if err != nil {
		return nil, err
	}
	out := new(pb.RevealTokensResponse)
	for _, r := range revealed {
		out.Tokens = append(out.Tokens, &pb.RevealedToken{Id: r.Token, Text: r.Text.Text(), Entity: r.Entity})
		r.Text.Wipe()
	}
	return out, nil
}
