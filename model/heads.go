package model

import (
	"math"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Head is what reads the hidden states.
type Head string

const (
	LanguageModel       Head = "lm"      // logits of the next token over the vocabulary
	MaskedLanguageModel Head = "mlm"     // logits of hidden tokens over the vocabulary
	Scalar              Head = "score"   // one number for each position: reward or value
	Classes             Head = "classes" // logits of each text's classes
	NoHead              Head = "none"    // the body alone, as encoders are published
)

// Problems are config.json's names of what the outputs of [Classes] may mean
// beside the logits of one class of several, as which an empty name and
// "single_label_classification" are read: each a yes or no of its own, or numbers.
var Problems = []string{SeveralLabels, "regression"}

// SeveralLabels is the problem of which each output is the logit of a label that a text
// has or has not.
const SeveralLabels = "multi_label_classification"

// Heads lists the heads that a family has, the one first that is assumed where a
// checkpoint does not say.
func (f Family) Heads() []Head { return f.architecture().heads() }

var decoderHeads = []Head{LanguageModel, Scalar, Classes, NoHead}

// Names of the scalar head's parameters. ScoreWeight is what transformers'
// sequence classification reads, also with several classes; the bias is alma's
// own.
const (
	ScoreWeight = "score.weight"
	ScoreBias   = "score.bias"
)

// Names of BERT's layers beside its blocks.
const (
	poolerName     = "bert.pooler.dense"
	classifierName = "classifier"
	transformName  = "cls.predictions.transform"
	decoderName    = "cls.predictions.decoder"
)

func (c Config) headParameters(l *parameterList) {
	d, std := c.Width, c.InitRange
	switch c.Head {
	case Scalar:
		// N(0, 1/√(d+1)) and bias 0 (Huang et al. 2024, detail 9 here).
		l.matrix(ScoreWeight, 1/math.Sqrt(float64(d+1)), 1, d)
		l.vector(ScoreBias, 0, 1)
	case Classes:
		if c.Family.Encoder() {
			l.linear(classifierName, std, d, len(c.Labels), true)
		} else {
			l.matrix(ScoreWeight, std, len(c.Labels), d)
		}
	case LanguageModel:
		if !c.Tied {
			l.matrix("lm_head.weight", std, c.Vocabulary, d)
		}
	case MaskedLanguageModel:
		l.linear(transformName+".dense", std, d, d, true)
		l.layerNorm(transformName+".LayerNorm", d)
		if !c.Tied {
			l.matrix(decoderName+".weight", std, c.Vocabulary, d)
		}
		l.vector(c.decoderBias(), 0, c.Vocabulary)
	}
}

// decoderBias is the bias of the masked language model's logits, which has two
// names in a checkpoint: where the decoder is the embedding it belongs to the
// predictions, else to the decoder.
func (c Config) decoderBias() string {
	if c.Tied {
		return "cls.predictions.bias"
	}
	return decoderName + ".bias"
}

// inHead reports whether a parameter belongs to the head, not to the body.
func (c Config) inHead(name string) bool {
	var l parameterList
	c.headParameters(&l)
	return slices.ContainsFunc(l.list, func(p Parameter) bool { return p.Name == name })
}

// InBody reports whether a parameter belongs to the body: neither to the head
// nor to the pooler beneath it.
func (c Config) InBody(p Parameter) bool {
	return !c.inHead(p.Name) && !strings.HasPrefix(p.Name, poolerName+".")
}

// WithHead is the configuration of the same body under another head. Labels
// are the names of the classes, for [Classes] alone, of which a text has one.
func (c Config) WithHead(head Head, labels ...string) Config {
	c.Head, c.Labels, c.Problem = head, slices.Clone(labels), ""
	c.Pooler = c.Pooler || head == Classes && c.Family.Encoder()
	return c
}

// HeadName is the [V, D] matrix that makes logits of hidden states.
func (c Config) HeadName() string {
	switch {
	case c.Tied:
		return c.EmbeddingName()
	case c.Family.Encoder():
		return decoderName + ".weight"
	}
	return "lm_head.weight"
}

// HeadWeight is the [V, D] matrix that makes logits of hidden states, stored
// [out, in].
func (c Config) HeadWeight(p *compute.Program) *compute.Tensor {
	return p.Variable(c.HeadName(), c.Vocabulary, c.Width)
}

// Logits projects hidden states [N, D] to the vocabulary [N, V]: of the next
// token, or with [MaskedLanguageModel] of the token that stands there.
func (c Config) Logits(p *compute.Program, hidden *compute.Tensor) *compute.Tensor {
	if c.Head == MaskedLanguageModel {
		return compute.Linear(c.transformed(p, hidden), c.HeadWeight(p), p.Variable(c.decoderBias(), c.Vocabulary), true)
	}
	return compute.Linear(hidden, c.HeadWeight(p), nil, true)
}

// Losses is −log p(target) in nats for each hidden state [N, D], without
// holding the logits: [N], 0 where the target is negative. targets is i32 [N],
// or [..., T] for N rows in sequences of T, which gradients are summed by (see
// [compute.Program.Accumulate]). Masked positions alone may be gathered, as
// many in each sequence, with [compute.GatherRows].
func (c Config) Losses(p *compute.Program, hidden, targets *compute.Tensor) *compute.Tensor {
	if c.Head != MaskedLanguageModel {
		return compute.LinearCrossEntropy(hidden, c.HeadWeight(p), targets, true)
	}
	h := c.transformed(p, compute.Reshape(hidden, append(slices.Clone(targets.Shape), c.Width)...))
	return compute.BiasedCrossEntropy(compute.Reshape(h, hidden.Shape...), c.HeadWeight(p), p.Variable(c.decoderBias(), c.Vocabulary), targets, true)
}

// transformed is the layer between BERT's hidden states and the decoder.
func (c Config) transformed(p *compute.Program, hidden *compute.Tensor) *compute.Tensor {
	b := builder{Config: c, p: p}
	h := compute.GELU(b.linear(hidden, transformName+".dense", c.Width, c.Width, true), c.ExactGELU)
	return b.layerNorm(h, transformName+".LayerNorm")
}

// Score applies the scalar head to hidden states [..., D], giving a number for
// each. The head's gradient is summed sequence by sequence, the dimension before
// the last (see [compute.LinearWeightGradOp]).
func (c Config) Score(p *compute.Program, hidden *compute.Tensor) *compute.Tensor {
	s := compute.Linear(hidden, p.Variable(ScoreWeight, 1, c.Width), p.Variable(ScoreBias, 1), true)
	return compute.Reshape(s, hidden.Shape.Rows())
}

// Pooled gives one state for each text, [N, D]: the hidden states [B·T, D] at
// rows i32 [N], through the pooler where the model has one. [Config.ReadAt]
// lists the rows; a negative one gives an arbitrary state.
func (c Config) Pooled(p *compute.Program, hidden, rows *compute.Tensor) *compute.Tensor {
	return compute.Reshape(c.pooled(p, hidden, rows), rows.Shape.Size(), c.Width)
}

// pooled is Pooled as [N, 1, D]: each text is a sequence, so that gradients do
// not depend on how many texts a micro-batch has.
func (c Config) pooled(p *compute.Program, hidden, rows *compute.Tensor) *compute.Tensor {
	read := compute.GatherRows(hidden, compute.Reshape(rows, rows.Shape.Size(), 1))
	if !c.Pooler {
		return read
	}
	return compute.Tanh(builder{Config: c, p: p}.linear(read, poolerName, c.Width, c.Width, true))
}

// ClassLogits gives the logits of the classes for each text, [N, C] in the
// order of Labels. See [Config.Pooled] for rows.
func (c Config) ClassLogits(p *compute.Program, hidden, rows *compute.Tensor) *compute.Tensor {
	weight, bias := c.classifier(p)
	logits := compute.Linear(c.pooled(p, hidden, rows), weight, bias, true)
	return compute.Reshape(logits, rows.Shape.Size(), len(c.Labels))
}

// ClassLosses is −log p(target) in nats for each text, [N], 0 where the target
// i32 [N] is negative. See [Config.Pooled] for rows.
func (c Config) ClassLosses(p *compute.Program, hidden, rows, targets *compute.Tensor) *compute.Tensor {
	weight, bias := c.classifier(p)
	pooled, targets := c.Pooled(p, hidden, rows), compute.Reshape(targets, rows.Shape.Size(), 1)
	if bias == nil {
		return compute.LinearCrossEntropy(pooled, weight, targets, true)
	}
	return compute.BiasedCrossEntropy(pooled, weight, bias, targets, true)
}

// classifier is the head of classes: its weight [C, D] and, in an encoder, its
// bias [C].
func (c Config) classifier(p *compute.Program) (weight, bias *compute.Tensor) {
	n := len(c.Labels)
	if c.Family.Encoder() {
		return p.Variable(classifierName+".weight", n, c.Width), p.Variable(classifierName+".bias", n)
	}
	return p.Variable(ScoreWeight, n, c.Width), nil
}

// ReadIn is the place at which a text at the positions start to end, end
// excluded, is read as a whole: an encoder's first token, which sees the text, a
// decoder's last.
func (c Config) ReadIn(start, end int) int {
	if c.Family.Encoder() {
		return start
	}
	return end - 1
}

// ReadAt lists, row by row, the place among the B·T positions where each text
// of rows of t positions is read (see [Config.ReadIn]). Padding, of segment −1,
// has no place.
func (c Config) ReadAt(segments []int32, t int) []int32 {
	var at []int32
	start := 0
	for i, segment := range segments {
		if segment < 0 {
			continue
		}
		if i%t == 0 || segments[i-1] != segment {
			start = i
		}
		if (i+1)%t == 0 || segments[i+1] != segment {
			at = append(at, int32(c.ReadIn(start, i+1)))
		}
	}
	return at
}
