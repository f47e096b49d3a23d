package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// Bounds of expressions. One that could cost more than maxEstimate, at the sizes
// that requests commonly have, is refused when it is loaded; one that costs more
// than maxCost is stopped.
const (
	maxExpression = 8 << 10 // characters
	maxEstimate   = 20_000_000
	maxCost       = 3_000_000
	maxNesting    = 3 // comprehensions inside each other
)

// facts are what has to be found out of a request before a guard is asked.
type facts uint8

const (
	factModel facts = 1 << iota
	factParameters
	factInputs
	factOverride
)

// variables are what an expression may name, and what that needs to know.
var variables = map[string]struct {
	typ   *cel.Type
	needs facts
}{
	"verb":              {cel.StringType, 0},
	"model":             {cel.StringType, factModel},
	"version":           {cel.StringType, 0},
	"principal.subject": {cel.StringType, 0},
	"principal.issuer":  {cel.StringType, 0},
	"principal.kind":    {cel.StringType, 0},
	"principal.groups":  {cel.ListType(cel.StringType), 0},
	"client.address":    {cel.StringType, 0},
	metadataVariable:    {cel.ListType(cel.StringType), 0},
	"now":               {cel.TimestampType, 0},
	"size":              {cel.IntType, 0},
	"parameters":        {cel.MapType(cel.StringType, cel.DynType), factParameters},
	"inputs":            {cel.ListType(inputType), factInputs},
	"outputs":           {cel.ListType(cel.StringType), factInputs},
	"batch":             {cel.IntType, factInputs},
	"override.config":   {cel.ObjectType(configType), factOverride},
	"override.files":    {cel.ListType(fileType), factOverride},
	callVariable:        {cel.OpaqueType("guard.Call"), 0},
}

// callVariable is what text() and json() read from; no expression can name it.
const callVariable = "@call"

// Functions that take a tensor's name, as the macros write them.
const (
	textFunction  = "@text"
	textsFunction = "@texts"
	jsonFunction  = "@json"
	cidrFunction  = "cidr"
)

// environment is the same for all guards; it is made when the first is compiled.
var environment = sync.OnceValues(newEnvironment)

func newEnvironment() (*cel.Env, error) {
	registry, err := types.NewRegistry(&inference.ModelConfig{})
	if err != nil {
		return nil, err
	}
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(registry), cel.CustomTypeProvider(provider{registry}),
		cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(64),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals(), cel.ValidateComprehensionNestingLimit(maxNesting)),
		cel.Function(cidrFunction, cel.Overload("cidr_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(cidr))),
	}
	call := variables[callVariable].typ
	for name, f := range map[string]struct {
		result *cel.Type
		read   func(*reading, string) (any, error)
	}{
		textFunction:  {cel.StringType, func(r *reading, name string) (any, error) { return r.text(name) }},
		textsFunction: {cel.ListType(cel.StringType), func(r *reading, name string) (any, error) { return r.textList(name) }},
		jsonFunction:  {cel.DynType, func(r *reading, name string) (any, error) { return r.json(name) }},
	} {
		options = append(options,
			cel.Macros(cel.GlobalMacro(strings.TrimPrefix(name, "@"), 1, ofCall(name))),
			cel.Function(name, cel.Overload(name, []*cel.Type{call, cel.StringType}, f.result, cel.BinaryBinding(binding(registry, f.read)))))
	}
	for name, v := range variables {
		options = append(options, cel.Variable(name, v.typ))
	}
	return cel.NewEnv(options...)
}

// ofCall rewrites text(NAME) to a function of the call and the name.
func ofCall(function string) cel.MacroFactory {
	return func(f cel.MacroExprFactory, _ celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
		return f.NewCall(function, f.NewIdent(callVariable), args[0]), nil
	}
}

// expression is a condition as compiled.
type expression struct {
	program  cel.Program
	facts    facts
	tensors  []string
	metadata named
	counted  bool // what it costs is counted while it is evaluated
}

// compileExpression type-checks a condition and bounds its cost. The error is for
// the operator, and says where in the text.
func compileExpression(text string) (*expression, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues != nil && len(issues.Errors()) > 0 {
		return nil, placed(issues.Errors())
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("must be a condition, which is true or false, but is of type %s", checked.OutputType())
	}
	e := new(expression)
	if err := e.analyse(checked.NativeRep()); err != nil {
		return nil, err
	}
	cost, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, err
	}
	if cost.Max > maxEstimate {
		return nil, fmt.Errorf("may cost too much (%d of at most %d): go over fewer things inside each other", cost.Max, uint64(maxEstimate))
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	// Counting takes a third of an evaluation. What can't cost too much whatever a
	// request holds needs no counting.
	most, err := env.EstimateCost(checked, anySize{})
	if e.counted = err != nil || most.Max > maxCost; e.counted {
		options = append(options, cel.CostLimit(maxCost))
	}
	e.program, err = env.Program(checked, options...)
	return e, err
}

// placed puts the first errors of the checker into one line.
func placed(errs []*cel.Error) error {
	const shown = 3
	var all []string
	for _, e := range errs[:min(len(errs), shown)] {
		all = append(all, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, said(e.Message)))
	}
	return errors.New(strings.Join(all, "; "))
}

var undeclared = regexp.MustCompile(`^undeclared reference to '([^'.]+)`)

// said is a message of the checker's on one line, with our own guess at which name
// was meant: the checker's hangs on the order of a map.
func said(message string) string {
	message, _, _ = strings.Cut(strings.Join(strings.Fields(message), " "), " (")
	if m := undeclared.FindStringSubmatch(message); m != nil {
		var known []string
		for name := range variables {
			first, _, _ := strings.Cut(name, ".")
			known = append(known, first)
		}
		slices.Sort(known)
		message += access.DidYouMean(m[1], known)
	}
	return message
}

// analyse finds what the expression reads, and refuses what can only be known to
// be wrong or dear by looking at the tree.
func (e *expression) analyse(a *celast.AST) (err error) {
	all := 0 // mentions of metadata
	celast.PreOrderVisit(a.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
		switch x.Kind() {
		case celast.IdentKind:
			e.facts |= variables[x.AsIdent()].needs
			if x.AsIdent() == metadataVariable {
				all++
			}
		case celast.StructKind:
			err = errors.Join(err, fmt.Errorf("%s can't be made here; a condition looks at what there is", x.AsStruct().TypeName()))
		case celast.CallKind:
			err = errors.Join(err, e.call(x.AsCall()))
		}
	}))
	slices.Sort(e.tensors)
	e.tensors = slices.Compact(e.tensors)
	e.metadata.all = all > len(e.metadata.keys)
	return err
}

func (e *expression) call(c celast.CallExpr) error {
	args := c.Args()
	switch c.FunctionName() {
	case operators.In:
		if key, ok := literal(args[0]); ok && args[1].Kind() == celast.IdentKind && args[1].AsIdent() == metadataVariable {
			if lower := strings.ToLower(key); lower != key {
				return fmt.Errorf("metadata has its keys in lower case, so that %q is never in it; write %q", key, lower)
			}
			e.metadata.keys = append(e.metadata.keys, key)
		}
	case textFunction, textsFunction, jsonFunction:
		e.facts |= factInputs
		name, ok := literal(args[1])
		if !ok {
			return fmt.Errorf("%s() takes the name of an input as a string in quotes", strings.TrimPrefix(c.FunctionName(), "@"))
		}
		e.tensors = append(e.tensors, name)
	case cidrFunction:
		text, ok := literal(args[1])
		if _, err := netip.ParsePrefix(text); !ok || err != nil {
			return errors.New(`cidr() takes an address and a network in quotes, as in cidr(client.address, "10.0.0.0/8")`)
		}
	case "matches":
		if _, ok := literal(args[len(args)-1]); !ok {
			return errors.New("matches() takes an expression in quotes: one that a request could choose might be any")
		}
	}
	return nil
}

// literal is the text of an expression that is a string in quotes.
func literal(x celast.Expr) (string, bool) {
	if x.Kind() != celast.LiteralKind {
		return "", false
	}
	s, ok := x.AsLiteral().(types.String)
	return string(s), ok
}
