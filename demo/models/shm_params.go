package models

import (
	"github.com/sluice-gateway/sluice/gen/inference"
)

// regionParams is what a tensor's parameters say about shared memory.
type regionParams struct {
	region       string
	offset, size int64
}

// parseRegion reads the shared memory parameters of the tensor called name; it
// returns nil where there are none.
func parseRegion(name string, params map[string]*inference.InferParameter) (*regionParams, error) {
	region, ok := params["shared_memory_region"]
	var p regionParams
	if ok {
		v, ok := region.GetParameterChoice().(*inference.InferParameter_StringParam)
		if !ok {
			return nil, invalid("invalid value type for 'shared_memory_region' parameter for tensor '%s', expected string_param.", name)
		}
		p.region = v.StringParam
	}
	if _, err := regionNumber(name, "shared_memory_offset", params, ok, &p.offset); err != nil {
		return nil, err
	}
	sized, err := regionNumber(name, "shared_memory_byte_size", params, ok, &p.size)
	if err != nil || !ok {
		return nil, err
	}
	if !sized {
		return nil, invalid("'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor '%s'", name)
	}
	return &p, nil
}

// regionNumber reads one of the numbers into to, and tells whether it is there.
func regionNumber(tensor, key string, params map[string]*inference.InferParameter, hasRegion bool, to *int64) (bool, error) {
	p, ok := params[key]
	if !ok {
		return false, nil
	}
	if !hasRegion {
		return false, invalid("'%s' can not be specified without 'shared_memory_region' parameter for tensor '%s'", key, tensor)
	}
	v, ok := p.GetParameterChoice().(*inference.InferParameter_Int64Param)
	if !ok {
		return false, invalid("invalid value type for '%s' parameter for tensor '%s', expected int64_param.", key, tensor)
	}
	*to = v.Int64Param
	return true, nil
}
