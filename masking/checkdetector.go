package masking

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// detector is what an entity's name stands for; exactly one of its ways to find
// something is set.
type detector struct {
	file     string // "" for the built-in ones
	detector *detect.Detector
	context  []string
	paths    []jsonPath
	analyzer *analyzer
}

// entityName is what an entity may be called: it stands in answers, trailers and
// metric labels.
var entityName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

// lookup finds a detector, the operator's own or a built-in one.
func (c *checker) lookup(name string) *detector {
	if d := c.detectors[name]; d != nil {
		return d
	}
	if d := detect.Lookup(name); d != nil {
		return &detector{detector: d}
	}
	return nil
}

// entities are all names there are.
func (c *checker) entities() (names []string) {
	for _, info := range detect.Entities() {
		names = append(names, info.Entity)
	}
	for name := range c.detectors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// detector checks one of the operator's own.
func (c *checker) detector(path string, d Detector) {
	switch first := c.detectors[d.Name]; {
	case !entityName.MatchString(d.Name):
		c.add(path+".name", "a detector's name is shown in its matches' place: up to 64 capital letters, digits and _, as in EMPLOYEE_ID")
	case first != nil:
		c.add(path+".name", "detector %s is already defined%s", d.Name, in(first.file))
		return
	case detect.Lookup(d.Name) != nil:
		c.add(path+".name", "%s is a built-in detector; choose another name", d.Name)
		return
	}
	ways := 0
	for _, set := range []bool{d.Regex != "", d.Dictionary != "", len(d.JSONPath) > 0, d.Presidio != nil} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		c.add(path, "a detector has exactly one of regex, dictionary, json_path and presidio")
		return
	}
	out := &detector{file: c.file, context: d.Context}
	c.detectors[d.Name] = out // also where it is wrong: rules that name it are not
	if d.Regex == "" && d.Dictionary == "" && len(d.Context) > 0 {
		c.add(path+".context", "has a meaning for regex and dictionary only")
	}
	c.way(path, d, out)
}

// way compiles what a detector finds by.
func (c *checker) way(path string, d Detector, out *detector) {
	var err error
	switch {
	case d.Regex != "":
		path += ".regex"
		out.detector, err = detect.Regex(d.Name, d.Regex)
	case d.Dictionary != "":
		path += ".dictionary"
		out.detector, err = c.dictionary(d.Name, string(d.Dictionary))
	case d.Presidio != nil:
		c.presidio(path+".presidio", d, out)
	}
	if err != nil {
		c.add(path, "%v", err)
	}
	for i, text := range d.JSONPath {
		p, err := parsePath(text)
		if err != nil {
			c.add(fmt.Sprintf("%s.json_path[%d]", path, i), "%v", err)
			continue
		}
		out.paths = append(out.paths, p)
	}
}

func (c *checker) dictionary(name, file string) (*detect.Detector, error) {
	read := c.opts.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	words, err := read(file)
	if err != nil {
		return nil, err
	}
	return detect.Dictionary(name, words)
}

// presidio checks the settings of an analyzer service and makes what asks it.
func (c *checker) presidio(path string, d Detector, out *detector) {
	p := *d.Presidio
	p.SetDefaults()
	before := len(c.problems)
	switch u, err := url.Parse(p.URL); {
	case p.URL == "":
		c.add(path+".url", "url is missing: the analyzer service's, as in http://presidio:3000")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		c.add(path+".url", "must be a URL that begins with http:// or https://")
	case u.User != nil:
		c.add(path+".url", "must not hold a password")
	}
	if p.Timeout < time.Millisecond || p.Timeout > maxTimeout {
		c.add(path+".timeout", "must be from 1ms to %s", maxTimeout)
	}
	word(c, path+".stream", p.Stream, Whole, Window)
	word(c, path+".on_error", p.OnError, Block, Pass)
	out.analyzer = &analyzer{name: d.Name, config: p}
	if len(c.problems) > before {
		return
	}
	if c.opts.Analyzer == nil {
		c.add(path, "this program can't ask analyzer services")
		return
	}
	var err error
	if out.analyzer.ask, err = c.opts.Analyzer(p); err != nil {
		c.add(path, "%v", err)
	}
}
