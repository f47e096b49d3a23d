package pool

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// statistics adds up what the replicas counted. One that does not answer is left
// out, while another does: the sum is then of fewer, as after its restart.
func (p *Pool) statistics(ctx context.Context, c call) error {
	answers := p.each(ctx, c)
	defer free(answers)
	sum := new(inference.ModelStatisticsResponse)
	var last error = errNobody()
	answered := false
	for _, a := range answers {
		if a.err != nil {
			last = a.err
			continue
		}
		var r inference.ModelStatisticsResponse
		if err := a.message.Unmarshal(&r); err != nil {
			last = err
			continue
		}
		answered = true
		for _, s := range r.GetModelStats() {
			addModel(sum, s)
		}
	}
	if !answered {
		return last
	}
	m, err := wire.FromProto(sum)
	if err != nil {
		return err
	}
	defer m.Free()
	return give(c.resp, m)
}

func addModel(sum *inference.ModelStatisticsResponse, s *inference.ModelStatistics) {
	for _, have := range sum.GetModelStats() {
		if have.GetName() == s.GetName() && have.GetVersion() == s.GetVersion() {
			add(have.ProtoReflect(), s.ProtoReflect())
			return
		}
	}
	sum.ModelStats = append(sum.ModelStats, s)
}

// add adds the numbers of from to those of into: counts and times are summed,
// save for points in time, of which the later one stays.
func add(into, from protoreflect.Message) {
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			addMap(into.Mutable(f).Map(), v.Map())
		case f.IsList():
			addList(into.Mutable(f).List(), v.List())
		case f.Kind() == protoreflect.MessageKind:
			add(into.Mutable(f).Message(), v.Message())
		case f.Kind() == protoreflect.Uint64Kind && f.Name() == "last_inference":
			into.Set(f, protoreflect.ValueOfUint64(max(into.Get(f).Uint(), v.Uint())))
		case f.Kind() == protoreflect.Uint64Kind && !isKey(f):
			into.Set(f, protoreflect.ValueOfUint64(into.Get(f).Uint()+v.Uint()))
		}
		return true
	})
}

// isKey tells the number that names an entry and counts nothing.
func isKey(f protoreflect.FieldDescriptor) bool { return f.Name() == "batch_size" }

func addMap(into, from protoreflect.Map) {
	from.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		if into.Has(k) {
			add(into.Mutable(k).Message(), v.Message())
		} else {
			into.Set(k, v)
		}
		return true
	})
}

// addList adds entries of the same batch size, and appends all others.
func addList(into, from protoreflect.List) {
	for i := range from.Len() {
		entry := from.Get(i).Message()
		key := entry.Descriptor().Fields().ByName("batch_size")
		if have := entryOf(into, entry, key); have != nil {
			add(have, entry)
			continue
		}
		into.Append(protoreflect.ValueOfMessage(proto.Clone(entry.Interface()).ProtoReflect()))
	}
}

func entryOf(in protoreflect.List, entry protoreflect.Message, key protoreflect.FieldDescriptor) protoreflect.Message {
	if key == nil {
		return nil
	}
	for i := range in.Len() {
		if have := in.Get(i).Message(); have.Get(key).Uint() == entry.Get(key).Uint() {
			return have
		}
	}
	return nil
}
