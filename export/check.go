package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/evaluate"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Check is what the reopened model showed beside the one that was exported.
//
// As f32 every weight and every logit must be the same, and so must 64 greedy
// tokens. Otherwise every weight must be its original rounded to the type, and
// logits and tokens are reported. The rendered conversations and their ids must
// always be the same.
type Check struct {
	Weights       string  `json:"weights"`                  // what held for every weight
	WeightError   float64 `json:"weight_error"`             // of the matrices that were rounded, √(Σ(w−w′)²/Σw²)
	Logits        int     `json:"logits"`                   // that were compared
	LogitsEqual   bool    `json:"logits_equal"`             // bit for bit
	LargestLogit  float64 `json:"largest_logit_difference"` // absolute
	KL            float64 `json:"kl"`                       // of the original's distributions from the written ones, mean over positions, nats
	TopEqual      float64 `json:"top_equal"`                // share of positions with the same most likely token
	Greedy        int     `json:"greedy"`                   // tokens that were generated
	GreedyEqual   int     `json:"greedy_equal"`             // of them, before the first that differs
	Conversations int     `json:"conversations"`            // rendered to the same bytes and ids
	Refused       int     `json:"conversations_refused"`    // of them, which the template refuses, in both
	// Cost is what the type costs on the text of Options; nil without one.
	Cost *evaluate.Cost `json:"cost,omitempty"`
}

// greedyTokens is how many tokens the models continue a prompt by.
const greedyTokens = 64

// probe is the text whose logits are compared.
const probe = "The colour of the sky is blue, 1 + 1 = 2, and \"for i := range n\" counts from 0 to n-1. Das Wetter ist schön; 今天天气很好。\n\nA second paragraph follows, with more words than the first one had."

// conversations are rendered by both models' templates.
var conversations = []chat.Conversation{
	{Messages: []chat.Message{{Role: "user", Content: "Hello!"}}, Prompt: true},
	{Messages: []chat.Message{{Role: "system", Content: "You answer in one word."}, {Role: "user", Content: "What is the capital of France?"}}, Prompt: true},
	{Messages: []chat.Message{{Role: "user", Content: "1 + 1?"}, {Role: "assistant", Content: "2"}, {Role: "user", Content: "And 2 + 2?"}}, Prompt: true},
	{Messages: []chat.Message{{Role: "user", Content: "Say nothing."}, {Role: "assistant", Content: "Nothing."}}},
	{Messages: []chat.Message{{Role: "user", Content: "  你好,世界 🌍\n\n\tété  "}}, Prompt: true},
	{Messages: []chat.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "a\nb"}, {Role: "assistant", Content: "c <|im_end|> {{ d }}"}, {Role: "user", Content: "</s><eos>"}}, Prompt: true},
}

// check reopens what was written.
func check(ctx context.Context, m *model.Model, tok *tokenizer.Tokenizer, template *chat.Template, o Options, stored storage, text []int32) (c Check, err error) {
	fail := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrCheckNotMet, "comparing %s with %s: %s", o.Path(), o.Source, fmt.Sprintf(format, args...))
	}
	again, err := file.Load(m.Engine, o.Path())
	if err != nil {
		return c, fail("it does not open again: %v", err)
	}
	againTok, err := file.LoadTokenizer(o.Path())
	if err != nil {
		return c, fail("its tokenizer does not open again: %v", err)
	}
	var failures []error
	if err := c.compareWeights(m, again, stored); err != nil {
		failures = append(failures, fail("%v", err))
	}
	if err := c.render(template, tok, againTok); err != nil {
		failures = append(failures, fail("%v", err))
	}
	if m.Head == model.LanguageModel {
		if err := c.compareLogits(m, again, tok); err != nil {
			return c, err
		}
		if err := c.compareGreedy(ctx, m, again, tok); err != nil {
			return c, err
		}
		if o.Type == "f32" && !c.LogitsEqual {
			failures = append(failures, fail("logits differ by up to %g", c.LargestLogit))
		}
		if o.Type == "f32" && c.GreedyEqual < c.Greedy {
			failures = append(failures, fail("greedy token %d of %d differs", c.GreedyEqual+1, c.Greedy))
		}
		if text != nil && len(failures) == 0 {
			cost, err := evaluate.MeasureCost(ctx, m, again, tok, o.Text, text, o.Progress)
			if err != nil {
				return c, err
			}
			c.Cost = &cost
		}
	}
	return c, errors.Join(failures...)
}

// tolerance is by how much a weight w may differ, in a tensor whose largest
// magnitude is top: half a unit in the last place; for Q8_0 half a step of 1/127 of
// its block's largest, the rounding of that step to float16 included. The scales of
// the types with fewer bits are searched, and may cut a block's largest off: four half
// steps of the type's levels over the range from −top to top.
func tolerance(t gguf.Type, w, top float64) float64 {
	switch t {
	case gguf.F32:
		return 0
	case gguf.F16:
		return math.Abs(w)*0x1p-11 + 0x1p-25
	case gguf.BF16:
		return math.Abs(w) * 0x1p-8
	case gguf.Q8_0:
		return top/254*1.001 + top*0x1p-11 + noScale
	case gguf.Q6_K:
		return top/16 + noScale
	case gguf.Q5_0, gguf.Q5_1, gguf.Q5_K:
		return top/8 + noScale
	}
	return top/4 + noScale
}

// noScale is what a weight may lose for whose block float16 has no scale: it is too small.
const noScale = 0x1p-18

// leastLikeness is the error of a matrix, as a share of its own size, beyond which it is
// not the rounded one but another: of 4 bits, ordinary weights have .07 to .12.
const leastLikeness = .5

// gemmaNorm is what a norm of Gemma 3 may lose in GGUF, which stores 1 + w.
const gemmaNorm = 0x1p-23

// compareWeights compares every weight.
func (c *Check) compareWeights(m, again *model.Model, stored storage) error {
	c.Weights = "different"
	var types []gguf.Type
	var lost, size float64 // sums of squares over what was rounded
	for _, p := range m.Parameters() {
		n := compute.Shape(p.Shape).Size()
		a, b := make([]float32, n), make([]float32, n)
		if err := m.Store.Read(p.Name, a); err != nil {
			return err
		}
		if shape, ok := again.Store.Shape(p.Name); !ok || shape.Size() != n {
			return fmt.Errorf("parameter %q has shape %v, and %v in the model", p.Name, shape, p.Shape)
		}
		if err := again.Store.Read(p.Name, b); err != nil {
			return err
		}
		kind := stored.of(p.Name)
		if len(p.Shape) > 1 && !slices.Contains(types, kind) {
			types = append(types, kind)
		}
		top := float64(0)
		for _, w := range a {
			top = max(top, math.Abs(float64(w)))
		}
		var off, all float64
		for i := range a {
			limit := tolerance(kind, float64(a[i]), top)
			if m.Family == model.Gemma3 && strings.HasSuffix(p.Name, "norm.weight") {
				limit += gemmaNorm
			}
			d := float64(a[i]) - float64(b[i])
			if !(math.Abs(d) <= limit) {
				return fmt.Errorf("element %d of parameter %q is %g, and %g in the model: more than the rounding to %s explains", i, p.Name, b[i], a[i], kind)
			}
			off, all = off+d*d, all+float64(a[i])*float64(a[i])
		}
		if kind == gguf.F32 {
			continue
		}
		if lost, size = lost+off, size+all; math.Sqrt(off) > leastLikeness*math.Sqrt(all)+noScale*math.Sqrt(float64(n)) {
			return fmt.Errorf("parameter %q differs by %.2g of its size: more than the rounding to %s explains", p.Name, math.Sqrt(off/all), kind)
		}
	}
	if c.Weights = "equal"; lost > 0 {
		c.WeightError, c.Weights = math.Sqrt(lost/size), rounding(types)
	}
	return nil
}

// rounding says what held of matrices of these types.
func rounding(types []gguf.Type) string {
	slices.SortFunc(types, func(a, b gguf.Type) int { return strings.Compare(a.String(), b.String()) })
	var parts, fewer []string
	for _, t := range types {
		switch t {
		case gguf.F32:
		case gguf.F16, gguf.BF16:
			parts = append(parts, fmt.Sprintf("within half a unit of %s's last place", t))
		case gguf.Q8_0:
			parts = append(parts, "within half a step of Q8_0")
		default:
			fewer = append(fewer, t.String())
		}
	}
	if len(fewer) > 0 {
		parts = append(parts, "within the rounding of "+strings.Join(fewer, ", "))
	}
	return strings.Join(parts, ", ")
}

// compareLogits compares the logits of the probe, as far as the context holds
// it.
func (c *Check) compareLogits(m, again *model.Model, tok *tokenizer.Tokenizer) error {
	tokens := tok.Wrap(tok.Encode(probe))
	tokens = tokens[:min(len(tokens), m.Context)]
	a, err := logits(m, tokens)
	if err != nil {
		return err
	}
	b, err := logits(again, tokens)
	if err != nil {
		return err
	}
	c.Logits, c.LogitsEqual = len(a), true
	for i := range a {
		if a[i] != b[i] {
			c.LogitsEqual = false
			c.LargestLogit = max(c.LargestLogit, math.Abs(float64(a[i])-float64(b[i])))
		}
	}
	v := m.Vocabulary
	for at := 0; at < len(a); at += v {
		p, q := a[at:at+v], b[at:at+v]
		c.KL += divergence(p, q) / float64(len(tokens))
		if stats.Likeliest(p) == stats.Likeliest(q) {
			c.TopEqual += 1 / float64(len(tokens))
		}
	}
	return nil
}

// divergence is KL(p‖q) of the distributions that logits give, in nats.
func divergence(p, q []float32) float64 {
	lp, lq := logSum(p), logSum(q)
	var kl float64
	for i := range p {
		d := float64(p[i]) - lp
		kl += math.Exp(d) * (d - (float64(q[i]) - lq))
	}
	return max(0, kl)
}

func logSum(x []float32) float64 {
	most := float64(x[stats.Likeliest(x)])
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum)
}

// logits [len(tokens), V] of one text.
func logits(m *model.Model, tokens []int32) ([]float32, error) {
	p := compute.NewProgram("export logits")
	p.Output("logits", m.Logits(p, m.Hidden(p, m.NewBatch(p, 1, len(tokens)))))
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		return nil, fmt.Errorf("comparing logits: %w", err)
	}
	copy(x.Ints("tokens"), tokens)
	positions, segments := x.Ints("positions"), x.Ints("segments")
	for i := range tokens {
		positions[i], segments[i] = int32(i), 0
	}
	if err := x.Run(); err != nil {
		return nil, fmt.Errorf("comparing logits: %w", err)
	}
	return append([]float32(nil), x.Floats("logits")...), nil
}

// compareGreedy continues the beginning of the probe by the most likely tokens.
func (c *Check) compareGreedy(ctx context.Context, m, again *model.Model, tok *tokenizer.Tokenizer) error {
	tokens := tok.Wrap(tok.Encode(probe))
	tokens = tokens[:max(1, min(len(tokens), 16, m.Context/2))]
	n := min(greedyTokens, m.Context-len(tokens))
	if n < 1 {
		return nil
	}
	var texts [2][]int32
	for i, one := range []*model.Model{m, again} {
		g, err := generate.New(one, 1, len(tokens)+n)
		if err != nil {
			return fmt.Errorf("comparing greedy tokens: %w", err)
		}
		completions, err := g.All(ctx, []generate.Request{{Prompt: tokens}}, generate.Sampling{MaxTokens: n})
		if err != nil {
			return fmt.Errorf("comparing greedy tokens: %w", err)
		}
		texts[i] = completions[0].Tokens
	}
	c.Greedy = len(texts[0])
	for c.GreedyEqual < min(c.Greedy, len(texts[1])) && texts[0][c.GreedyEqual] == texts[1][c.GreedyEqual] {
		c.GreedyEqual++
	}
	return nil
}

// render renders the conversations with both templates.
func (c *Check) render(template *chat.Template, tok, againTok *tokenizer.Tokenizer) error {
	again, err := chat.For(againTok)
	if err != nil {
		return fmt.Errorf("its chat template cannot be run: %w", err)
	}
	for i, conversation := range conversations {
		want, wantErr := template.Text(conversation)
		got, gotErr := again.Text(conversation)
		var refused *chat.RefusedError
		switch {
		case errors.As(wantErr, &refused) && errors.As(gotErr, &refused):
			c.Refused++
		case wantErr != nil:
			return fmt.Errorf("rendering conversation %d: %w", i+1, wantErr)
		case gotErr != nil:
			return fmt.Errorf("rendering conversation %d: %w", i+1, gotErr)
		case got != want:
			return fmt.Errorf("conversation %d is rendered %q, and %q by the model", i+1, got, want)
		case fmt.Sprint(againTok.EncodeWithSpecial(got)) != fmt.Sprint(tok.EncodeWithSpecial(want)):
			return fmt.Errorf("conversation %d has the ids %v, and %v by the model's tokenizer", i+1, againTok.EncodeWithSpecial(got), tok.EncodeWithSpecial(want))
		}
		c.Conversations++
	}
	return nil
}
