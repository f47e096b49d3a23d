package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sluice-gateway/sluice/access"
)

// S3 says where an object store is that speaks S3's protocol.
type S3 struct {
	// Endpoint is its URL, as in https://s3.eu-central-1.amazonaws.com; without TLS to
	// this machine alone.
	Endpoint string
	// Region is the bucket's; "us-east-1" where the store knows none.
	Region string
	// Bucket must be there already. Prefix stands before each object's name.
	Bucket, Prefix string
	// AccessKey and SecretKey are what requests are signed with.
	AccessKey, SecretKey string
}

// bucket is a target in an object store. An object is there whole or not at all.
type bucket struct {
	client *minio.Client
	name   string
	prefix string
}

var _ Target = (*bucket)(nil)

const defaultRegion = "us-east-1"

// NewS3 returns a target in an object store. Nothing is asked of the store yet.
func NewS3(c S3) (Target, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("export: the endpoint must be a URL without a path, as in https://s3.example.com")
	}
	host := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || host != nil && host.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return nil, errors.New("export: records leave this machine over https only")
	}
	if c.Bucket == "" {
		return nil, errors.New("export: no bucket is named")
	}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: u.Scheme == "https", Region: c.Region,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	prefix := strings.Trim(c.Prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &bucket{client, c.Bucket, prefix}, nil
}

// Put writes an object. Its MD5 goes with it, so that the store refuses what was
// changed on the way.
func (b *bucket) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	if !plainName(name) {
		return errName
	}
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, content, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", SendContentMd5: true,
	})
	return b.told(err)
}

// Get opens an object.
func (b *bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if !plainName(name) {
		return nil, errName
	}
	o, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, b.told(err)
	}
	if _, err := o.Stat(); err != nil { // the request is made now
		_ = o.Close() // it says the same
		return nil, b.told(err)
	}
	return o, nil
}

// told makes a store's error one of ours. What the store answers may quote the
// request, but never the secret key.
func (b *bucket) told(err error) error {
	switch minio.ToErrorResponse(err).Code {
	case "":
		return err
	case minio.NoSuchKey, "NotFound":
		return os.ErrNotExist
	case minio.NoSuchBucket:
		return fmt.Errorf("export: there is no bucket %s", access.Quote(b.name))
	default:
		return fmt.Errorf("export: the object store refuses: %w", err)
	}
}
