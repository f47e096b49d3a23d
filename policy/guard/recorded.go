package guard

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Recorded is a call that was written down, as much of it as was kept. It is read
// as JSON; what is not there is not known, and is taken for not sent.
type Recorded struct {
	Principal struct {
		Subject string      `json:"subject"`
		Issuer  string      `json:"issuer"`
		Kind    access.Kind `json:"kind"`
		Groups  []string    `json:"groups"`
	} `json:"principal"`
	Verb  string `json:"verb"`
	Model string `json:"model"`
	Content
}

// Content is what a recorded call has beside who asked for what: one form for JSON
// and YAML.
type Content struct {
	Version string `json:"version" yaml:"version"`
	// Time is when the call was made; now if not known.
	Time     time.Time `json:"time" yaml:"time"`
	Client   string    `json:"client" yaml:"client"`
	Metadata []string  `json:"metadata" yaml:"metadata"` // its keys
	// Parameters are numbers, strings, truths: of an infer, a load, an unload.
	Parameters map[string]any  `json:"parameters" yaml:"parameters"`
	Inputs     []RecordedInput `json:"inputs" yaml:"inputs"`
	Outputs    []string        `json:"outputs" yaml:"outputs"`
	// Config is the configuration that a load pushed, as an object or as the text that
	// was sent; Files the lengths of its files.
	Config any            `json:"config" yaml:"config"`
	Files  map[string]int `json:"files" yaml:"files"`
	// Size is the message's length in bytes, if it was kept.
	Size int `json:"size" yaml:"size"`
}

// RecordedInput is an input as it was written down. Of one without its text no
// guard can tell what it held.
type RecordedInput struct {
	Name         string   `json:"name" yaml:"name"`
	Datatype     string   `json:"datatype" yaml:"datatype"`
	Shape        []int64  `json:"shape" yaml:"shape"`
	Text         []string `json:"text" yaml:"text"`
	SharedMemory bool     `json:"shared_memory" yaml:"shared_memory"`
}

// maxRecordedData bounds what is made up for inputs of numbers, and for files.
const maxRecordedData = 64 << 20

// Who is the caller.
func (c *Recorded) Who() *access.Principal {
	p := c.Principal
	groups := slices.Compact(slices.Sorted(slices.Values(p.Groups)))
	return &access.Principal{Issuer: p.Issuer, Subject: p.Subject, Kind: p.Kind, Groups: groups}
}

// Request makes the request that guards are asked about. The error says which key
// is wrong.
func (c *Recorded) Request() (*Request, error) {
	verb, ok := access.ParseVerb(c.Verb)
	if !ok {
		return nil, fmt.Errorf("verb: unknown verb %q", c.Verb)
	}
	r := &Request{Verb: verb, Model: c.Model, Version: c.Version, Principal: c.Who(), Now: c.Time, Size: c.Size, Metadata: map[string][]string{}}
	if c.Client != "" {
		var err error
		if r.Client, err = netip.ParseAddr(c.Client); err != nil {
			return nil, errors.New("client: is no IP address")
		}
	}
	for _, key := range c.Metadata {
		r.Metadata[key] = nil
	}
	if r.Now.IsZero() {
		r.Now = time.Now()
	}
	m, err := c.Message()
	if err != nil {
		return nil, err
	}
	if load, ok := m.(*inference.RepositoryModelLoadRequest); ok && len(load.GetParameters()) > 0 {
		r.Verb = access.LoadOverride // as package interceptors/policy has it
	}
	if verb != access.Infer {
		r.Control = m
	} else {
		message, err := wire.FromProto(m)
		if err != nil {
			return nil, err
		}
		view, err := message.InferRequest()
		if err != nil {
			return nil, err
		}
		r.Infer = &view
	}
	if r.Size == 0 {
		r.Size = proto.Size(m)
	}
	return r, nil
}

// Message is the call's message, nil for verbs whose messages say nothing that a
// guard reads.
func (c *Recorded) Message() (proto.Message, error) {
	switch c.Verb {
	case access.Infer.String():
		return c.infer()
	case access.Load.String(), access.LoadOverride.String():
		parameters, err := c.control()
		return &inference.RepositoryModelLoadRequest{ModelName: c.Model, Parameters: parameters}, err
	case access.Unload.String():
		parameters, err := c.control()
		return &inference.RepositoryModelUnloadRequest{ModelName: c.Model, Parameters: parameters}, err
	}
	return nil, nil
}

func (c *Recorded) infer() (proto.Message, error) {
	m := &inference.ModelInferRequest{ModelName: c.Model, ModelVersion: c.Version, Parameters: map[string]*inference.InferParameter{}}
	for key, v := range c.Parameters {
		p := new(inference.InferParameter)
		switch v := v.(type) {
		case bool:
			p.ParameterChoice = &inference.InferParameter_BoolParam{BoolParam: v}
		case string:
			p.ParameterChoice = &inference.InferParameter_StringParam{StringParam: v}
		case int:
			p.ParameterChoice = &inference.InferParameter_Int64Param{Int64Param: int64(v)}
		case float64:
			p.ParameterChoice = &inference.InferParameter_DoubleParam{DoubleParam: v}
			if n, whole := integer(v); whole {
				p.ParameterChoice = &inference.InferParameter_Int64Param{Int64Param: n}
			}
		default:
			return nil, fmt.Errorf("parameters.%.64s: must be a truth, a number or a string", key)
		}
		m.Parameters[key] = p
	}
	for _, name := range c.Outputs {
		m.Outputs = append(m.Outputs, &inference.ModelInferRequest_InferRequestedOutputTensor{Name: name})
	}
	known := true
	for i, in := range c.Inputs {
		t := &inference.ModelInferRequest_InferInputTensor{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape}
		if in.SharedMemory {
			t.Parameters = map[string]*inference.InferParameter{regionKey: {ParameterChoice: &inference.InferParameter_StringParam{StringParam: "recorded"}}}
		} else if data, ok, err := in.data(); err != nil {
			return nil, fmt.Errorf("inputs[%d].%w", i, err)
		} else {
			m.RawInputContents = append(m.RawInputContents, data)
			known = known && ok
		}
		m.Inputs = append(m.Inputs, t)
	}
	if !known { // none of the raw contents can be said to be whose: texts go into the inputs
		m.RawInputContents = nil
		for i, in := range c.Inputs {
			if in.Text != nil {
				m.Inputs[i].Contents = &inference.InferTensorContents{BytesContents: texts(in.Text)}
			}
		}
	}
	return m, nil
}

func texts(all []string) (out [][]byte) {
	for _, s := range all {
		out = append(out, []byte(s))
	}
	return out
}

// data is an input's raw data: its text, or as many zeros as its numbers take. It
// is not known of a text that was not kept.
func (in *RecordedInput) data() (data []byte, known bool, err error) {
	t := wire.ParseDatatype(in.Datatype)
	switch t {
	case wire.UnknownType:
		return nil, false, fmt.Errorf("datatype: unknown datatype %q", in.Datatype)
	case wire.Bytes:
		for _, s := range in.Text {
			data = binary.LittleEndian.AppendUint32(data, uint32(len(s)))
			data = append(data, s...)
		}
		return data, in.Text != nil, nil
	}
	n := int64(t.Size())
	for _, dim := range in.Shape {
		if dim < 0 || dim > 0 && n > maxRecordedData/dim {
			return nil, false, errors.New("shape: is not one, or of too many numbers")
		}
		n *= dim
	}
	return make([]byte, n), true, nil
}

func integer(v float64) (int64, bool) {
	if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
		return 0, false
	}
	return int64(v), true
}

func (c *Recorded) control() (map[string]*inference.ModelRepositoryParameter, error) {
	all := map[string]*inference.ModelRepositoryParameter{}
	for key, v := range c.Parameters {
		p := new(inference.ModelRepositoryParameter)
		switch v := v.(type) {
		case bool:
			p.ParameterChoice = &inference.ModelRepositoryParameter_BoolParam{BoolParam: v}
		case string:
			p.ParameterChoice = &inference.ModelRepositoryParameter_StringParam{StringParam: v}
		case int:
			p.ParameterChoice = &inference.ModelRepositoryParameter_Int64Param{Int64Param: int64(v)}
		case float64:
			n, whole := integer(v)
			if !whole {
				return nil, fmt.Errorf("parameters.%.64s: must be a whole number", key)
			}
			p.ParameterChoice = &inference.ModelRepositoryParameter_Int64Param{Int64Param: n}
		default:
			return nil, fmt.Errorf("parameters.%.64s: must be a truth, a number or a string", key)
		}
		all[key] = p
	}
	if c.Config != nil {
		text, is := c.Config.(string)
		if !is {
			raw, err := json.Marshal(c.Config)
			if err != nil {
				return nil, errors.New("config: must be an object or a text")
			}
			text = string(raw)
		}
		all[configKey] = &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: text}}
	}
	for name, n := range c.Files {
		if n < 0 || n > maxRecordedData {
			return nil, fmt.Errorf("files.%.64s: must be a length of at most %d", name, maxRecordedData)
		}
		all[filePrefix+name] = &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_BytesParam{BytesParam: make([]byte, n)}}
	}
	return all, nil
}
