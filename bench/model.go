package bench

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

// shapeVocabulary is the vocabulary of a model that is given as a shape.
const shapeVocabulary = 2048

// config is the model that is timed, with a context that holds its tokens.
func (o Options) config() (model.Config, error) {
	for _, size := range []struct {
		flag  string
		value int
		least int
	}{{"--batch", o.Batch, 1}, {"--seq", o.Seq, 2}, {"--new", o.New, 0}, {"--vocab", o.Vocab, 0}, {"--lora-rank", o.LoRA, 0}, {"--steps", o.Steps, 1}} {
		if size.value < size.least {
			return model.Config{}, refuse("%s is %d, want %d or more", size.flag, size.value, size.least)
		}
	}
	if o.Targets < 0 || o.Targets > 1 {
		return model.Config{}, refuse("--targets is %g, want a share from 0 (all) to 1", o.Targets)
	}
	c, err := modelNamed(o.Model)
	if err != nil {
		return model.Config{}, err
	}
	if o.Vocab > 0 {
		// Ids of a larger vocabulary would not be tokens of this one.
		c.Vocabulary, c.BOS, c.EOS, c.Pad = o.Vocab, -1, -1, -1
	}
	c.Context = max(c.Context, o.Seq+o.New)
	return c, c.Validate()
}

// modelNamed is the configuration of gpt2-124m, of LAYERSxWIDTH with or without
// FAMILY: before it, or of a config.json or the folder that holds one.
func modelNamed(name string) (model.Config, error) {
	if name == "gpt2-124m" {
		c, err := modelOfShape(model.GPT2, 12, 768)
		c.Vocabulary, c.Context, c.BOS, c.EOS = 50257, 1024, 50256, 50256
		return c, err
	}
	family, shape := model.GPT2, name
	if f, rest, ok := strings.Cut(name, ":"); ok && slices.Contains(model.Families, model.Family(f)) {
		family, shape = model.Family(f), rest
	}
	l, w, _ := strings.Cut(shape, "x")
	layers, err1 := strconv.Atoi(l)
	width, err2 := strconv.Atoi(w)
	if err1 == nil && err2 == nil {
		return modelOfShape(family, layers, width)
	}
	path := name
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path = strings.TrimSuffix(path, "/") + "/config.json"
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return model.Config{}, refuse("--model %q is neither gpt2-124m, nor LAYERSxWIDTH such as 6x384 or llama:12x768, nor a config.json: %w", name, err)
	}
	return file.ParseConfig(path, data)
}

// modelOfShape is a model whose heads have 64 dimensions, or 32 up to a width
// of 256.
func modelOfShape(family model.Family, layers, width int) (model.Config, error) {
	head := 64
	if width <= 256 {
		head = 32
	}
	if layers < 1 || width < head || width%head != 0 {
		return model.Config{}, refuse("--model has %d layers of width %d, want a layer or more and a multiple of the head's %d dimensions", layers, width, head)
	}
	c := model.Config{
		Family: family, Head: model.LanguageModel, Vocabulary: shapeVocabulary,
		Width: width, Layers: layers, Heads: width / head, KVHeads: width / head, HeadDim: head,
		FeedForward: 4 * width, Epsilon: 1e-5, Tied: true, InitRange: .02, BOS: -1, EOS: -1, Pad: -1,
	}
	if family != model.GPT2 {
		// As many weights in three matrices as GPT-2 has in two.
		c.RoPETheta, c.FeedForward = 10000, (8*width/3+63)/64*64
	}
	return c, nil
}
