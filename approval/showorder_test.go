package approval_test

import (
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// TestWhatALoadPushesIsShownBeforeAllElse: nobody has to look for a file behind many
// parameters.
func TestWhatALoadPushesIsShownBeforeAllElse(t *testing.T) {
	m := &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: map[string]*pb.ModelRepositoryParameter{
		"config":         {ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: "{}"}},
		"file:1/model.x": {ParameterChoice: &pb.ModelRepositoryParameter_BytesParam{BytesParam: []byte("weights")}},
	}}
	for i := range 100 {
		m.Parameters[fmt.Sprint("a", i)] = &pb.ModelRepositoryParameter{ParameterChoice: &pb.ModelRepositoryParameter_BoolParam{BoolParam: true}}
	}
	s := approval.ShowControl(m, nil)
	if len(s.Parts) < 2 || s.Parts[0].Kind != approval.PartFile || s.Parts[1].Kind != approval.PartConfig || len(s.Parts) != 102 || s.More != 0 {
		t.Errorf("shown are %+v and %d more", s.Parts[:2], s.More)
	}
}

// TestWhatAGuardNamesOfTheMetadataIsShown, without values: they may be credentials.
func TestWhatAGuardNamesOfTheMetadataIsShown(t *testing.T) {
	bubble(t, func(r *rig) {
		a := unload()
		a.Needs[0].Metadata = map[string][]string{"x-mode": {"fast", "loud"}, "x-none": nil}
		a.Show = func() *approval.Summary { return approval.ShowControl(&pb.RepositoryModelUnloadRequest{}, nil) }
		r.admit(a)
		covers := r.pending().Covers
		if p := part(t, covers, "x-mode"); p.Type != "metadata" || p.Bytes != 10 || p.SHA256 != hash("fast, loud") || p.Text != "" {
			t.Errorf("shown as %+v", p)
		}
		if p := part(t, covers, "x-none"); p.Type != "no metadata" || p.SHA256 != "" {
			t.Errorf("shown as %+v", p)
		}
	})
}
