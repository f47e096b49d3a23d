package audittest_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
)

func TestMemory(t *testing.T) {
	audittest.Run(t, func(*testing.T) audit.Log { return new(audittest.Memory) }, nil)
}
