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
