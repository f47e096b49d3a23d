package admin

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// object is a JSON object.
type object = map[string]any

// document makes the OpenAPI 3.1 document of services, out of their annotations: what
// is served is what it says.
func document(services []protoreflect.ServiceDescriptor) ([]byte, error) {
	d := describer{schemas: object{"Error": errorSchema()}}
	paths := make(map[string]object)
	for _, service := range services {
		for i := range service.Methods().Len() {
			d.method(paths, service.Methods().Get(i))
		}
	}
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info":    object{"title": "Sluice's admin API", "version": "v1", "description": "See docs/API.md."},
		"paths":   paths,
		"components": object{
			"schemas":         d.schemas,
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}},
		},
		"security": []object{{"bearer": []string{}}},
	})
}

func errorSchema() object {
	text := object{"type": "string"}
	return object{"type": "object", "properties": object{"error": object{
		"type": "object", "properties": object{"status": text, "reason": text, "message": text}, "required": []string{"status", "message"},
	}}, "required": []string{"error"}}
}

// describer gathers the schemas of the messages that methods name.
type describer struct{ schemas object }

// inPath finds the fields that a path holds, and what each may hold.
var inPath = regexp.MustCompile(`\{(\w+)(=[^}]*)?\}`)

// method adds a method, if it has a path.
func (d *describer) method(paths map[string]object, method protoreflect.MethodDescriptor) {
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	verb, path := verbOf(rule)
	if verb == "" {
		return
	}
	operation := object{"operationId": string(method.Name()), "tags": []string{string(method.Parent().Name())}}
	named := map[string]bool{}
	var parameters []object
	for _, m := range inPath.FindAllStringSubmatch(path, -1) {
		named[m[1]] = true
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	if rule.GetBody() != "" {
		operation["requestBody"] = object{"content": object{applicationJSON: object{"schema": d.ref(method.Input())}}}
	} else {
		for i := range method.Input().Fields().Len() {
			if f := method.Input().Fields().Get(i); !named[string(f.Name())] {
				parameters = append(parameters, object{"name": string(f.Name()), "in": "query", "schema": d.field(f)})
			}
		}
	}
	if parameters != nil {
		operation["parameters"] = parameters
	}
	kind := applicationJSON
	if method.IsStreamingServer() {
		kind = lines
	}
	operation["responses"] = object{
		"200":     object{"description": "OK", "content": object{kind: object{"schema": d.ref(method.Output())}}},
		"default": object{"description": "an error", "content": object{applicationJSON: object{"schema": object{"$ref": "#/components/schemas/Error"}}}},
	}
	path = inPath.ReplaceAllString(path, "{$1}")
	if paths[path] == nil {
		paths[path] = object{}
	}
	paths[path][strings.ToLower(verb)] = operation
}

func verbOf(rule *annotations.HttpRule) (verb, path string) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	default:
		return "", ""
	}
}

// ref is a reference to a message's schema, which is made if it is new.
func (d *describer) ref(m protoreflect.MessageDescriptor) object {
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		return object{"type": "string", "format": "date-time"}
	case "google.protobuf.Duration":
		return object{"type": "string", "pattern": `^\d+(\.\d+)?s$`}
	}
	name := string(m.Name())
	if _, ok := d.schemas[name]; !ok {
		properties := object{}
		d.schemas[name] = object{"type": "object", "properties": properties} // before its fields, which may name it
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			properties[string(f.Name())] = d.field(f)
		}
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (d *describer) field(f protoreflect.FieldDescriptor) object {
	one := d.value(f)
	if f.IsList() {
		return object{"type": "array", "items": one}
	}
	return one
}

func (d *describer) value(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.Int32Kind:
		return object{"type": "integer", "format": "int32"}
	case protoreflect.Int64Kind:
		return object{"type": "string", "format": "int64"}
	case protoreflect.BytesKind:
		return object{"type": "string", "format": "byte"}
	case protoreflect.EnumKind:
		var names []string
		for i := range f.Enum().Values().Len() {
			names = append(names, string(f.Enum().Values().Get(i).Name()))
		}
		return object{"type": "string", "enum": names}
	case protoreflect.MessageKind:
		return d.ref(f.Message())
	default:
		return object{"type": "string"}
	}
}
