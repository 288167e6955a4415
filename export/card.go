package export

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// ancestor is a stage of the lineage, or a file that no stage wrote.
type ancestor struct {
	role, path string
	sha256     string
	manifest   *artifact.Manifest // nil for what no stage wrote, or is not there any more
	note       string             // why there is none
}

// lineage lists the source and what it was made of, each once, nearest first. An
// input whose content is not any more what the stage read ends its line.
func lineage(source string) []ancestor {
	open := func(role, path, want string) ancestor {
		a := ancestor{role: role, path: path, sha256: want}
		sum, err := artifact.HashInput(path)
		switch {
		case err != nil:
			a.note = "not there any more"
			return a
		case want != "" && sum != want:
			a.note = "changed since"
			return a
		}
		a.sha256 = sum
		manifest, err := artifact.Open(path, false)
		switch {
		case err == nil:
			a.manifest = manifest
		case !errors.Is(err, artifact.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) && !file.IsGGUF(path):
			a.note = "its artifact.json cannot be read"
		}
		return a
	}
	lines := []ancestor{open("model", source, "")}
	seen := map[string]bool{lines[0].sha256: true}
	for i := 0; i < len(lines) && len(lines) < maxLineage; i++ {
		if lines[i].manifest == nil {
			continue
		}
		inputs := lines[i].manifest.Inputs
		for _, role := range slices.Sorted(maps.Keys(inputs)) {
			if in := inputs[role]; !seen[in.SHA256] {
				seen[in.SHA256] = true
				lines = append(lines, open(role, in.Path, in.SHA256))
			}
		}
	}
	return lines
}

// maxLineage bounds what a card lists.
const maxLineage = 64

// aboutOf is what is known of the source, with a name in any case.
func aboutOf(source string, lines []ancestor) file.About {
	about := About(source)
	if about.Name == "" {
		about.Name = nameOf(source, lines)
	}
	if lines[0].manifest != nil { // what an import or an export before said of itself is older
		about.Lineage = lines[0].sha256
	}
	return about
}

// nameOf names a model by where it lies: that of the run whose stage it is, else of the
// folder or file.
func nameOf(source string, lines []ancestor) string {
	path, err := filepath.Abs(source)
	if err != nil {
		path = source
	}
	name := strings.TrimSuffix(filepath.Base(path), ".gguf")
	if m := lines[0].manifest; m != nil && name == m.Kind {
		name = filepath.Base(filepath.Dir(path)) + "-" + name
	}
	return name
}

// card is the model card: README.md with the front matter that the Hugging Face
// Hub reads.
func card(m *model.Model, tok *tokenizer.Tokenizer, o Options, r *Report, lines []ancestor) []byte {
	var b strings.Builder
	about := aboutOf(o.Source, lines)
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	line("---")
	switch {
	case o.Format == GGUF:
		line("library_name: gguf")
	default:
		line("library_name: transformers")
	}
	if m.Head == model.LanguageModel {
		line("pipeline_tag: text-generation")
	}
	facts := about.Card()
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		line("%s: %q", key, facts[key])
	}
	line("tags:\n- alma\n- %s", m.Family)
	if o.Format == GGUF {
		line("- gguf")
	}
	line("---\n<!-- %s; change it before you publish: it says nothing of purpose and limits -->\n", mark)
	line("# %s\n", about.Name)
	line("A %s model of %s parameters: %d layers, width %d, %d heads (%d of keys and values), context %d, vocabulary %d (tokenizer: %s, %d tokens). Weights: %s, %s%s.\n",
		m.Family, count(m.ParameterCount()), m.Layers, m.Width, m.Heads, m.KVHeads, m.Context, m.Vocabulary, tok.Kind(), tok.VocabSize(), o.Format, o.Type, parenthesis(r.matrices()))
	for _, note := range r.Notes {
		line("- %s", note)
	}
	if len(r.Notes) > 0 {
		line("")
	}

	line("## Use\n")
	if o.Format == GGUF {
		line("```\nalma chat %s\nllama-cli -m %s\nollama create %s -f Modelfile\n```\n", filepath.Base(r.Path), filepath.Base(r.Path), strings.ToLower(nameOf(o.Source, lines)))
	} else {
		line("```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\nmodel = AutoModelForCausalLM.from_pretrained(\".\")\ntokenizer = AutoTokenizer.from_pretrained(\".\")\n```\n")
	}
	cardData(line, lines)
	cardTraining(line, lines)
	cardEvaluation(line, lines, r)
	cardLineage(line, lines)
	cardLicence(line, lines)
	return []byte(b.String())
}

func cardData(line func(string, ...any), lines []ancestor) {
	line("## Data\n")
	found := false
	for _, a := range lines[1:] {
		switch {
		case a.manifest == nil:
			found = true
			line("- %s: `%s`, no stage of alma's%s", a.role, filepath.Base(a.path), parenthesis(a.note))
		case !isTraining(a.manifest):
			found = true
			line("- %s: `%s`, made by the stage %s%s", a.role, filepath.Base(a.path), a.manifest.Kind, parenthesis(numbers(a.manifest.Metrics)))
		}
	}
	if !found {
		line("Nothing is known: the model came without an artifact.json.")
	}
	line("")
}

func parenthesis(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// isTraining tells whether a stage changed weights.
func isTraining(m *artifact.Manifest) bool { return m.FLOPs > 0 }

func cardTraining(line func(string, ...any), lines []ancestor) {
	line("## Training\n")
	var stages []ancestor
	for _, a := range slices.Backward(lines) {
		if a.manifest != nil && isTraining(a.manifest) {
			stages = append(stages, a)
		}
	}
	if len(stages) == 0 {
		line("No stage of alma's trained it.\n")
		return
	}
	line("| stage | tokens | FLOPs | seconds | ended |\n|---|---|---|---|---|")
	for _, a := range stages {
		m := a.manifest
		line("| %s | %s | %.3g | %.0f | %s |", m.Kind, count(m.Tokens), m.FLOPs, m.WallSeconds, m.Created.Format(time.DateOnly))
	}
	for _, a := range stages {
		line("\nConfiguration of %s:\n\n```json\n%s\n```", a.manifest.Kind, a.manifest.Config)
	}
	line("")
}

func cardEvaluation(line func(string, ...any), lines []ancestor, r *Report) {
	line("## Evaluation\n")
	for _, a := range lines {
		if a.manifest == nil || len(a.manifest.Metrics) == 0 {
			continue
		}
		if isTraining(a.manifest) {
			line("- %s ended with %s", a.manifest.Kind, numbers(a.manifest.Metrics))
			for _, note := range a.manifest.Notes {
				line("  - %s", note)
			}
		}
	}
	c := r.Check
	if c.Cost != nil {
		line("- as %s: %s", r.Type, c.CostText())
	}
	line("- opened again after writing: weights %s; %d logits compared, the largest difference %.3g, mean divergence %.3g nats; the same most likely token at %.1f %% of positions; %d of %d greedy tokens equal; %d conversations rendered to the same bytes\n",
		c.Weights, c.Logits, c.LargestLogit, c.KL, 100*c.TopEqual, c.GreedyEqual, c.Greedy, c.Conversations)
}

func cardLineage(line func(string, ...any), lines []ancestor) {
	line("## Lineage\n\n| role | stage | name | SHA-256 | alma |\n|---|---|---|---|---|")
	for _, a := range lines {
		kind, version := "–", "–"
		if a.manifest != nil {
			kind, version = a.manifest.Kind, a.manifest.Alma
		} else if a.note != "" {
			kind = a.note
		}
		line("| %s | %s | `%s` | `%.16s` | %s |", a.role, kind, filepath.Base(a.path), a.sha256, version)
	}
}

// cardLicence names the licences of the models from which this one comes.
func cardLicence(line func(string, ...any), lines []ancestor) {
	title := "\n## Licence\n\n"
	for _, a := range lines {
		if a.note != "" {
			continue
		}
		if licence := About(a.path).Licence; licence != "" {
			line("%s- the %s `%s` came under %q", title, a.role, filepath.Base(a.path), licence)
			title = ""
		}
	}
}

// matrices lists a GGUF file's quantised matrices by their types, "" where all are of
// one.
func (r *Report) matrices() string {
	if len(r.Matrices) < 2 {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Matrices)) {
		parts = append(parts, fmt.Sprintf("%s of %s", ofMatrices(r.Matrices[name]), name))
	}
	return strings.Join(parts, ", ")
}

// CostText says in words what the type costs; of the text it gives the name alone, as
// cards are published.
func (c Check) CostText() string {
	k := c.Cost
	interval := ""
	if e := k.Increase; !math.IsInf(e.Low, 0) {
		interval = fmt.Sprintf(", 95 %% interval %+.2f to %+.2f %%", 100*e.Low, 100*e.High)
	}
	return fmt.Sprintf("perplexity %.4g → %.4g (%+.2f %%%s) on %s, %d tokens in windows of %d",
		k.Before.Perplexity, k.After.Perplexity, 100*k.Increase.Value, interval, filepath.Base(k.Text), k.Before.Tokens, k.Before.Context)
}

// numbers lists metrics in the order of their names.
func numbers(metrics artifact.Metrics) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		parts = append(parts, fmt.Sprintf("%s %.6g", name, metrics[name]))
	}
	return strings.Join(parts, ", ")
}

func count(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f G", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
