package config_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/config"
)

// TestModelsAtTwoBackends: only where each says what its share is.
func TestModelsAtTwoBackends(t *testing.T) {
	for name, tt := range map[string]struct {
		weights [2]int
		right   bool
	}{
		"both weigh":    {[2]int{90, 10}, true},
		"the first":     {[2]int{90, 0}, false},
		"the second":    {[2]int{0, 10}, false},
		"neither weigh": {[2]int{0, 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := &config.Config{Policy: []string{"policy.yaml"}, Backends: make([]backends.Config, 2)}
			for i := range c.Backends {
				config.SetDefaults(&c.Backends[i])
				c.Backends[i].Name = string(rune('a' + i))
				c.Backends[i].Type, c.Backends[i].Addresses, c.Backends[i].Models = "triton", []string{"127.0.0.1:1"}, []string{"m"}
				c.Backends[i].Weight = tt.weights[i]
			}
			right := true
			for _, p := range c.Validate() {
				right = right && p.Path != "backends[1].models[0]"
			}
			if right != tt.right {
				t.Errorf("weights %v: right is %v", tt.weights, right)
			}
		})
	}
}
