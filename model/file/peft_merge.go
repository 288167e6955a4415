package file

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// Adapters merged into the model that they were trained on: what PEFT computes with
// an adapter, as weights of the model.
//
// An embedding and a head that were one array may differ behind an adapter, since PEFT
// adapts and copies modules, not arrays. The merged model then has both.

// MergeAdapter gives the model that PEFT computes with the adapter of a folder on m:
// W + scale·B·A, and what was trained whole in place of what m has. It is m itself,
// changed, or another model where the adapter has more tokens than m, or parts its
// head from its embedding. On an error m may be changed in part.
func MergeAdapter(m *model.Model, folder string) (*model.Model, error) {
	path := filepath.Join(folder, AdapterConfigFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, notFound(fmt.Errorf("opening adapter %s: %w; an adapter's folder holds %s and %s", folder, err, AdapterConfigFile, AdapterWeightsFile))
	}
	c, err := ParseAdapterConfig(path, data)
	if err != nil {
		return nil, err
	}
	if c.Task == causalLM && (m.Head == model.Scalar || m.Head == model.Classes) {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: the adapter was trained on a language model (task_type %s), and the model has a %q head; give that language model", path, c.Task, m.Head)
	}
	weights := filepath.Join(folder, AdapterWeightsFile)
	file, err := artifact.ReadSafetensors(weights)
	if err != nil {
		if pickle := filepath.Join(folder, "adapter_model.bin"); exists(pickle) && !exists(weights) {
			return nil, artifact.Errorf(artifact.ErrUsage, "opening adapter %s: its weights are a pickle, %s, which is a program; save it as %s (save_pretrained with safe_serialization)", folder, filepath.Base(pickle), AdapterWeightsFile)
		}
		return nil, notFound(err)
	}
	defer file.Close()
	return newMerge(m, c, path, file).run()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// merge is the work of one MergeAdapter.
type merge struct {
	m      *model.Model
	c      AdapterConfig
	config string // path of adapter_config.json, for errors
	file   *artifact.SafetensorsFile
	unused map[string]bool // tensors of the file that nothing has read
	prefix string          // of the body in m's names that the adapter's lack
}

func newMerge(m *model.Model, c AdapterConfig, config string, file *artifact.SafetensorsFile) *merge {
	g := &merge{m: m, c: c, config: config, file: file, unused: make(map[string]bool)}
	for _, name := range file.Names() {
		g.unused[name] = true
	}
	// An adapter of a body alone (AutoModel) names its modules without the prefix.
	head := m.Config
	head.Head = model.NoHead
	for _, p := range m.Parameters() {
		if prefix, ok := strings.CutSuffix(p.Name, head.FileName(p.Name)); ok && prefix != "" {
			g.prefix = prefix
			break
		}
	}
	for name := range g.unused {
		if strings.HasPrefix(name, peftPrefix+g.prefix) {
			g.prefix = ""
			break
		}
	}
	return g
}

// module is a part of the model with a weight.
type module struct {
	name      string // PEFT's, without "base_model.model."
	weight    string // m's parameter
	shape     []int
	embedding bool
	stored    bool // [in, out]: an embedding, or GPT-2's Conv1D
	head      bool // it makes the model's outputs
	inBlocks  bool
}

func (g *merge) key(parameter string) string { return strings.TrimPrefix(parameter, g.prefix) }

// modules lists those that an adapter can be on: with a matrix for a weight.
func (g *merge) modules() []module {
	var list []module
	for _, p := range g.m.Parameters() {
		name, ok := strings.CutSuffix(p.Name, ".weight")
		if !ok || len(p.Shape) != 2 {
			continue
		}
		part := module{name: g.key(name), weight: p.Name, shape: p.Shape, embedding: isEmbedding(name), head: g.isHead(name)}
		part.stored = part.embedding || g.m.Family == model.GPT2 && g.m.InBody(p)
		part.inBlocks = g.m.InBody(p)
		list = append(list, part)
	}
	return list
}

// isEmbedding tells the tables in which rows are looked up by their names.
func isEmbedding(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return slices.Contains([]string{"embed_tokens", "wte", "wpe", "word_embeddings", "position_embeddings", "token_type_embeddings"}, last)
}

func (g *merge) isHead(name string) bool {
	switch name + ".weight" {
	case g.m.HeadName(), model.ScoreWeight, "classifier.weight":
		return !isEmbedding(name)
	}
	return false
}

// run merges everything. The embedding and a head that it is tied to come last: what
// becomes of them is decided together.
func (g *merge) run() (*model.Model, error) {
	if err := g.checkWhole(); err != nil {
		return nil, err
	}
	for _, part := range g.modules() {
		if part.weight == g.m.EmbeddingName() || part.weight == g.m.HeadName() {
			continue
		}
		w, err := compute.Values(g.m.Store, part.weight)
		if err != nil {
			return nil, err
		}
		changed, w, err := g.merged(part, w)
		if err != nil {
			return nil, err
		}
		if changed {
			if err := g.m.Store.Write(part.weight, w); err != nil {
				return nil, err
			}
		}
	}
	if err := g.vectors(); err != nil {
		return nil, err
	}
	out, err := g.ends()
	if err != nil {
		return nil, err
	}
	for _, name := range g.file.Names() {
		if g.unused[name] && !layoutOf(g.m.Family).buffer(g.m.Config, g.prefix+strings.TrimPrefix(name, peftPrefix)) {
			return nil, g.corrupt("tensor %q belongs to no layer that %s adapts", name, AdapterConfigFile)
		}
	}
	return out, nil
}

func (g *merge) corrupt(format string, args ...any) error {
	return artifact.Errorf(artifact.ErrCorrupt, "reading %s: %s", g.file.Name(), fmt.Sprintf(format, args...))
}

// checkWhole refuses an adapter beside whose products a head was trained that the
// model lacks. PEFT names every head that a classifier may have; the model must have
// one.
func (g *merge) checkWhole() error {
	if len(g.c.Whole) == 0 || g.tiedHead() != "" && g.c.trainsWhole(g.tiedHead()) {
		return nil
	}
	for _, p := range g.m.Parameters() {
		if g.c.trainsWhole(g.key(p.Name[:strings.LastIndexByte(p.Name, '.')])) {
			return nil
		}
	}
	return artifact.Errorf(artifact.ErrUsage, "reading %s: of %q one was trained whole, and the model with its %q head has none of that name; give the model that the adapter was trained on, with that head", g.config, g.c.Whole, g.m.Head)
}

// take reads a tensor of one of some names, nil if the file has none. rows, if it is
// not nil, takes the first dimension, which else must be the shape's.
func (g *merge) take(shape []int, rows *int, names ...string) ([]float32, error) {
	for _, name := range names {
		info, ok := g.file.Info(peftPrefix + name)
		if !ok {
			continue
		}
		want := slices.Clone(shape)
		if rows != nil && len(info.Shape) == len(want) && info.Shape[0] > 0 && info.Shape[0] <= model.MaxSize {
			want[0] = info.Shape[0]
			*rows = info.Shape[0]
		}
		if !slices.Equal(info.Shape, want) {
			return nil, g.corrupt("tensor %q has shape %v, the model and %s ask for %v", peftPrefix+name, info.Shape, AdapterConfigFile, want)
		}
		delete(g.unused, peftPrefix+name)
		return g.file.Float32(peftPrefix + name)
	}
	return nil, nil
}

// need is take of a tensor that must be there.
func (g *merge) need(shape []int, names ...string) ([]float32, error) {
	values, err := g.take(shape, nil, names...)
	if err == nil && values == nil {
		err = g.corrupt("tensor %q is missing; %s asks for it with shape %v", peftPrefix+names[0], AdapterConfigFile, shape)
	}
	return values, err
}

// baseNames are the names under which PEFT saves the weight of the model itself beside
// an adapter: that of an embedding or head which is adapted, or which has another
// number of tokens than the model on disk (save_embedding_layers).
func baseNames(name string) []string {
	return []string{name + ".base_layer.weight", name + ".original_module.weight", name + ".token_adapter.base_layer.weight"}
}

// merged gives what a module's weight w becomes.
func (g *merge) merged(part module, w []float32) (changed bool, _ []float32, err error) {
	if g.c.trainsWhole(part.name) {
		w, err = g.need(part.shape, part.name+".weight")
		return true, w, err
	}
	changed, err = g.add(part, w)
	if err != nil {
		return false, nil, err
	}
	rows, err := g.rows(part, w)
	return changed || rows, w, err
}

// add adds the product of a module's adapter to its weight.
func (g *merge) add(part module, w []float32) (changed bool, err error) {
	if !g.c.adapts(g.m.Family, part.name, !part.embedding, part.head) {
		return false, nil
	}
	rank, scale := g.c.of(part.name)
	out, in := part.shape[0], part.shape[1]
	if part.stored {
		in, out = out, in
	}
	nameA, nameB := part.name+".lora_A.weight", part.name+".lora_B.weight"
	if part.embedding {
		nameA, nameB = part.name+".lora_embedding_A", part.name+".lora_embedding_B"
	}
	_, hasA := g.file.Info(peftPrefix + nameA)
	_, hasB := g.file.Info(peftPrefix + nameB)
	switch {
	case hasA || hasB:
	case g.c.targets.linear && !part.inBlocks:
		return false, nil // alma's own adapters leave a pooler as it is
	case part.head && g.c.tied && g.m.Tied:
		return false, nil // its adapter is the embedding's
	}
	a, err := g.need([]int{rank, in}, nameA)
	if err != nil {
		return false, err
	}
	b, err := g.need([]int{out, rank}, nameB)
	if err != nil {
		return false, err
	}
	model.AddLowRank(w, a, b, rank, scale, part.stored)
	return true, nil
}

// rows puts the rows of an embedding that were trained alone into its weight.
//
// The rows of a head that is tied to the embedding are the embedding's.
func (g *merge) rows(part module, w []float32) (changed bool, err error) {
	if _, own := g.file.Info(peftPrefix + part.name + ".token_adapter.trainable_tokens_delta"); part.head && g.m.Tied && !own {
		part = module{name: g.key(strings.TrimSuffix(g.m.EmbeddingName(), ".weight")), shape: part.shape, embedding: true}
	}
	for _, tokens := range g.c.tokens {
		if !tokens.of(part) {
			continue
		}
		name := part.name + ".token_adapter.trainable_tokens_delta"
		width := part.shape[1]
		rows, err := g.need([]int{len(tokens.ids), width}, name)
		if err != nil {
			return false, err
		}
		for i, id := range tokens.ids {
			if id < 0 || id >= len(w)/width {
				return false, artifact.Errorf(artifact.ErrUsage, "reading %s: key %q names token %d of %d", g.config, "trainable_token_indices", id, len(w)/width)
			}
			copy(w[id*width:(id+1)*width], rows[i*width:])
		}
		changed = true
	}
	return changed, nil
}

// of tells whether rows are of a module's weight.
func (t trainedToken) of(part module) bool {
	if t.module == "" {
		return part.embedding && slices.Contains([]string{"embed_tokens", "wte", "word_embeddings"}, part.name[strings.LastIndexByte(part.name, '.')+1:])
	}
	return strings.HasSuffix(part.name, t.module)
}

// vectors takes what was trained whole, or as a bias, of the parameters that are no
// matrices.
func (g *merge) vectors() error {
	linear := make(map[string]module)
	for _, part := range g.modules() {
		linear[part.name] = part
	}
	for _, p := range g.m.Parameters() {
		if len(p.Shape) == 2 {
			continue
		}
		at := strings.LastIndexByte(p.Name, '.')
		name, last := g.key(p.Name[:at]), p.Name[at+1:]
		part, is := linear[name]
		names, must := []string{name + "." + last}, true
		switch {
		case g.c.trainsWhole(name):
		case last == "bias" && (g.c.bias == "all" || g.c.bias == "lora_only" && is && g.c.adapts(g.m.Family, name, !part.embedding, part.head)):
			names = []string{name + ".base_layer.bias", name + ".bias"}
			must = g.c.bias == "all" // older PEFTs save none with lora_only
		default:
			continue
		}
		take := func() ([]float32, error) { return g.take(p.Shape, nil, names...) }
		if must && p.Name != model.ScoreBias { // which transformers' heads do not have
			take = func() ([]float32, error) { return g.need(p.Shape, names...) }
		}
		values, err := take()
		if err != nil {
			return err
		}
		if values != nil {
			if err := g.m.Store.Write(p.Name, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// tiedHead is PEFT's name of the head that a tied model has in its embedding; "" if
// it has none.
func (g *merge) tiedHead() string {
	switch {
	case !g.m.Tied:
	case g.m.Head == model.LanguageModel:
		return "lm_head"
	case g.m.Head == model.MaskedLanguageModel:
		return "cls.predictions.decoder"
	}
	return ""
}

// end is what an embedding or a head becomes: [rows, D].
type end struct {
	module
	values []float32
	base   []float32 // what an adapter's product was added to
	found  bool      // the file has the whole of it
}

// ends merges into the embedding and the head, and makes another model where these
// get more rows, or are no longer one.
func (g *merge) ends() (*model.Model, error) {
	m := g.m
	shape := []int{m.Vocabulary, m.Width}
	e := end{module: module{name: g.key(strings.TrimSuffix(m.EmbeddingName(), ".weight")), weight: m.EmbeddingName(), shape: shape, embedding: true, stored: true, inBlocks: true}}
	if err := g.begin(&e, nil); err != nil {
		return nil, err
	}
	if err := g.finish(&e); err != nil {
		return nil, err
	}
	h := end{module: module{name: g.tiedHead(), weight: m.HeadName(), shape: shape, head: true}}
	together := m.Tied && g.c.tied && (g.c.trainsWhole(e.name) || g.c.adapts(m.Family, e.name, false, false))
	switch {
	case m.Head != model.LanguageModel && m.Head != model.MaskedLanguageModel: // run has merged another head
		return g.replaced(e, nil)
	case together: // PEFT keeps the two one, and writes both
		for _, name := range []string{".lora_A.weight", ".lora_B.weight", ".weight", ".base_layer.weight"} {
			delete(g.unused, peftPrefix+h.name+name)
		}
		return g.replaced(e, e.values)
	case !m.Tied:
		h.name = strings.TrimSuffix(m.HeadName(), ".weight")
	}
	// Where the embedding's own array is in the file, because it has more tokens, the
	// head that is tied to it has it too; where the embedding was trained whole, the
	// head kept what both were.
	var standard []float32
	if m.Tied && e.found && !g.c.trainsWhole(e.name) {
		standard = e.base
	}
	if err := g.begin(&h, standard); err != nil {
		return nil, err
	}
	if len(h.values) != len(e.values) {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: it has %d rows for %s, and %d for %s; save both with the adapter (modules_to_save)", g.file.Name(), e.shape[0], e.name, h.shape[0], h.name)
	}
	if err := g.finish(&h); err != nil {
		return nil, err
	}
	return g.replaced(e, h.values)
}

// begin finds what a product is added to: the array of the file, or else standard,
// or else the model's.
func (g *merge) begin(e *end, standard []float32) (err error) {
	rows := e.shape[0]
	names := append(baseNames(e.name), e.name+".weight")
	if g.c.trainsWhole(e.name) {
		names = []string{e.name + ".weight", e.name + ".modules_to_save.weight"}
	}
	if e.values, err = g.take(e.shape, &rows, names...); err != nil {
		return err
	}
	e.found = e.values != nil
	// Another name of the same array, or the model's own beside what took its place.
	for _, name := range append(baseNames(e.name), e.name+".modules_to_save.weight") {
		if e.found {
			delete(g.unused, peftPrefix+name)
		}
	}
	switch {
	case e.found:
		e.shape = []int{rows, e.shape[1]}
	case g.c.trainsWhole(e.name):
		return g.corrupt("tensor %q is missing; %s asks for it with shape %v", peftPrefix+names[0], AdapterConfigFile, e.shape)
	case standard != nil:
		e.values, e.shape = slices.Clone(standard), []int{len(standard) / e.shape[1], e.shape[1]}
	default:
		if e.values, err = compute.Values(g.m.Store, e.weight); err != nil {
			return err
		}
	}
	e.base = slices.Clone(e.values)
	return nil
}

// finish adds products and rows.
func (g *merge) finish(e *end) error {
	if g.c.trainsWhole(e.name) {
		return nil
	}
	if _, err := g.add(e.module, e.values); err != nil {
		return err
	}
	_, err := g.rows(e.module, e.values)
	return err
}

// replaced writes an embedding and, unless it is nil, a language model's head.
func (g *merge) replaced(e end, head []float32) (*model.Model, error) {
	m, c := g.m, g.m.Config
	c.Vocabulary = e.shape[0]
	c.Tied = m.Tied && (head == nil || slices.Equal(head, e.values))
	out := m
	if c.Vocabulary != m.Vocabulary || c.Tied != m.Tied {
		if m.Head == model.MaskedLanguageModel {
			return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: it gives a masked language model another vocabulary, or a head of its own; alma does this for language models that write: %s", g.file.Name(), mergeElsewhere)
		}
		var err error
		if out, err = model.Empty(m.Engine, c); err != nil {
			return nil, fmt.Errorf("reading %s: %w", g.file.Name(), err)
		}
		for _, p := range c.Parameters() {
			if p.Name == out.EmbeddingName() || p.Name == out.HeadName() {
				continue
			}
			values, err := compute.Values(m.Store, p.Name)
			if err != nil {
				return nil, err
			}
			if err := out.Store.Write(p.Name, values); err != nil {
				return nil, err
			}
		}
	}
	if err := out.Store.Write(out.EmbeddingName(), e.values); err != nil {
		return nil, err
	}
	if head != nil && !c.Tied {
		if err := out.Store.Write(out.HeadName(), head); err != nil {
			return nil, err
		}
	}
	return out, nil
}
