package dialect

import (
	"encoding/base64"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// control reads the body of a request other than an inference into its message,
// whose fields that the path has are filled in already and stay as they are.
type control struct {
	*lexer
	in    *wire.Intake
	key   text
	value text
}

// ReadControl reads the JSON body of one of the repository's, shared memory's and
// settings' requests into m, charging what it reads, and then what decoding
// takes. The errors are an [*Error], what body failed with, and the budget's.
func ReadControl(body io.Reader, m proto.Message, in *wire.Intake) error {
	l, err := newLexer(body, unlimited, in)
	if err != nil {
		return err
	}
	defer l.close(in)
	c := &control{lexer: l, in: in}
	c.key.in, c.value.in = in, in
	switch m := m.(type) {
	case *pb.RepositoryIndexRequest:
		return c.optional(c.index(m))
	case *pb.RepositoryModelLoadRequest:
		return c.optional(c.load(m))
	case *pb.RepositoryModelUnloadRequest:
		return c.optional(c.unload(m))
	case *pb.SystemSharedMemoryRegisterRequest:
		return c.registerSystem(m)
	case *pb.CudaSharedMemoryRegisterRequest:
		return c.registerCuda(m)
	case *pb.TraceSettingRequest:
		return c.trace(m)
	case *pb.LogSettingsRequest:
		return c.logs(m)
	default:
		return nil // unregister, which looks at no body
	}
}

// members reads a document and has its members read; one that is no object has none.
func (c *control) members(member func(key []byte) error) error {
	first, err := c.root()
	if err != nil {
		return err
	}
	if first != '{' {
		err = c.skip()
	} else {
		err = c.object(&c.key, member)
	}
	if err != nil {
		return err
	}
	return c.finish()
}

// optional reads members of a document that may be empty.
func (c *control) optional(member func(key []byte) error) error {
	if c.pos == c.end && !c.fill() {
		return c.failed
	}
	return c.members(member)
}

// take reads a string value.
func (c *control) take() (string, error) {
	c.value.reset()
	if err := c.string(&c.value); err != nil {
		return "", err
	}
	if err := c.in.Charge(len(c.value.b)); err != nil {
		return "", err
	}
	return string(c.value.b), nil
}

func (c *control) index(m *pb.RepositoryIndexRequest) func([]byte) error {
	seen := false
	return func(key []byte) (err error) {
		if string(key) != "ready" || !first(&seen) {
			return c.skip()
		}
		m.Ready, err = c.boolean()
		return err
	}
}

// parameters reads the member of that name, once.
func (c *control) parameters(parameter func(key []byte) error) func([]byte) error {
	seen := false
	return func(key []byte) error {
		if string(key) != "parameters" || !first(&seen) {
			return c.skip()
		}
		if c.peek() != '{' {
			return c.other(noMembers)
		}
		return c.object(&c.key, parameter)
	}
}

// load reads a model's configuration, and files in base64.
func (c *control) load(m *pb.RepositoryModelLoadRequest) func([]byte) error {
	m.Parameters = make(map[string]*pb.ModelRepositoryParameter)
	return c.parameters(func(key []byte) error {
		name := string(key)
		if err := c.in.Charge(keyCost + len(name)); err != nil {
			return err
		}
		if _, known := m.Parameters[name]; known {
			return c.skip()
		}
		value, err := c.take()
		if err != nil {
			return err
		}
		p := &pb.ModelRepositoryParameter{ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: value}}
		switch {
		case strings.HasPrefix(name, "file:"):
			if err := c.in.Charge(base64.RawStdEncoding.DecodedLen(len(value))); err != nil {
				return err
			}
			content, err := decodeBase64(value)
			if err != nil {
				return invalid("Unable to decode the base64 content of '%s'", name)
			}
			p.ParameterChoice = &pb.ModelRepositoryParameter_BytesParam{BytesParam: content}
		case name != "config":
			return wrong("unexpected error on creating Triton parameter")
		}
		m.Parameters[name] = p
		return nil
	})
}

// decodeBase64 takes base64 with and without padding.
func decodeBase64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(s), "="))
}

func (c *control) unload(m *pb.RepositoryModelUnloadRequest) func([]byte) error {
	return c.parameters(func(key []byte) error {
		if string(key) != "unload_dependents" || m.Parameters != nil {
			return c.skip()
		}
		v, err := c.boolean()
		m.Parameters = map[string]*pb.ModelRepositoryParameter{
			"unload_dependents": {ParameterChoice: &pb.ModelRepositoryParameter_BoolParam{BoolParam: v}},
		}
		return within("Unable to parse 'unload_dependents'", err)
	})
}

func (c *control) registerSystem(m *pb.SystemSharedMemoryRegisterRequest) error {
	if m.GetName() == "" {
		return invalid("'region name' is necessary to register system shared memory region")
	}
	var key, offset, size bool
	err := c.members(func(name []byte) (err error) {
		switch {
		case string(name) == "key" && first(&key):
			m.Key, err = c.take()
		case string(name) == "offset" && first(&offset):
			m.Offset, err = c.unsigned(notUint)
		case string(name) == "byte_size" && first(&size):
			m.ByteSize, err = c.unsigned(notUint)
		default:
			err = c.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !key:
		return invalid("Shared memory register request has no 'key' field")
	case !size:
		return invalid("Shared memory register request has no 'byte_size' field")
	}
	return nil
}

func (c *control) registerCuda(m *pb.CudaSharedMemoryRegisterRequest) error {
	if m.GetName() == "" {
		return invalid("'region name' is necessary to register cuda shared memory region")
	}
	var handle, device, size bool
	err := c.members(func(name []byte) (err error) {
		switch {
		case string(name) == "raw_handle" && first(&handle):
			m.RawHandle, err = c.handle()
		case string(name) == "device_id" && first(&device):
			var id uint64
			id, err = c.unsigned(notUint)
			m.DeviceId = int64(id)
		case string(name) == "byte_size" && first(&size):
			m.ByteSize, err = c.unsigned(notUint)
		default:
			err = c.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !handle:
		return invalid("Shared memory register request has no 'raw_handle' field")
	case !size:
		return missing("byte_size")
	case !device:
		return missing("device_id")
	}
	return nil
}

// cudaHandle is the size of CUDA's cudaIpcMemHandle_t in bytes.
const cudaHandle = 64

// handle reads {"b64": "…"}.
func (c *control) handle() (handle []byte, err error) {
	if c.peek() != '{' {
		return nil, c.other(missing("b64"))
	}
	seen := false
	err = c.object(&c.key, func(key []byte) error {
		if string(key) != "b64" || !first(&seen) {
			return c.skip()
		}
		s, err := c.take()
		if err != nil {
			return err
		}
		if handle, err = decodeBase64(s); err != nil || len(handle) != cudaHandle {
			return invalid("'raw_handle' must be a valid base64 encoded cudaIpcMemHandle_t")
		}
		return nil
	})
	if err == nil && !seen {
		err = missing("b64")
	}
	return handle, err
}
