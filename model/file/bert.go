package file

import (
	"strings"

	"github.com/seed-b72bdb6c/alma/model"
)

type bert struct{}

func (bert) names() map[model.Head]string {
	return map[model.Head]string{
		model.MaskedLanguageModel: "BertForMaskedLM", model.Classes: "BertForSequenceClassification", model.NoHead: "BertModel",
	}
}

// bertKeys are the keys of config.json that a BERT is made of.
type bertKeys struct {
	Positions    int     `json:"max_position_embeddings"`
	Width        int     `json:"hidden_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	Intermediate int     `json:"intermediate_size"`
	Epsilon      float64 `json:"layer_norm_eps"`
	Types        *int    `json:"type_vocab_size"`
	Activation   string  `json:"hidden_act"`
}

func (bert) keys() configKeys { return &bertKeys{} }

func (bert) fixed() map[string][]string {
	return map[string][]string{
		"position_embedding_type": {`"absolute"`},
	}
}

func (k *bertKeys) set(c *model.Config) error {
	c.Context, c.Width, c.Layers, c.Heads = k.Positions, k.Width, k.Layers, k.Heads
	c.KVHeads, c.FeedForward, c.Epsilon, c.Tied = c.Heads, k.Intermediate, k.Epsilon, true
	if c.Heads > 0 {
		c.HeadDim = c.Width / c.Heads
	}
	if c.Epsilon == 0 {
		c.Epsilon = 1e-12
	}
	c.Types = 2
	if k.Types != nil {
		c.Types = *k.Types
	}
	// A model folder says by its tensors whether there is a pooler (see Load).
	c.Pooler = c.Head != model.MaskedLanguageModel
	if k.Activation == "" {
		k.Activation = "gelu"
	}
	return setGELU(c, "hidden_act", k.Activation)
}

func (bert) write(c model.Config, m map[string]any) {
	m["max_position_embeddings"], m["hidden_size"], m["num_hidden_layers"] = c.Context, c.Width, c.Layers
	m["num_attention_heads"], m["intermediate_size"], m["layer_norm_eps"] = c.Heads, c.FeedForward, c.Epsilon
	m["type_vocab_size"], m["hidden_act"] = c.Types, geluName(c)
	m["hidden_dropout_prob"], m["attention_probs_dropout_prob"], m["classifier_dropout"] = 0, 0, nil
}

// Position numbers, the tied decoder written a second time, and the head of
// next-sentence prediction, which checkpoints of BERT's own pretraining hold.
func (bert) buffer(c model.Config, name string) bool {
	switch {
	case strings.HasSuffix(name, "embeddings.position_ids"):
		return true
	case c.Head != model.MaskedLanguageModel:
		return false
	case name == "cls.predictions.decoder.weight", name == "cls.predictions.decoder.bias":
		return c.Tied
	case name == "cls.predictions.bias":
		return !c.Tied
	}
	return strings.HasPrefix(name, "cls.seq_relationship.")
}
