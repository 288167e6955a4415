package classify

import (
	"math"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// derive chooses by the model and the texts what nobody set. The default rate suits
// small encoders, published ones too; large ones take 2e-5 to 5e-5 (Devlin et al. 2019,
// appendix A.3).
func derive(c Config, b stage.Basis) ([]stage.Chosen, error) {
	d := train.Derive(b, "base", model.LanguageModel, train.LoRAConfig{})
	if d == nil {
		return nil, nil
	}
	if d.Large() {
		d.Rate("lr", train.Rates{Here: c.LR, Whole: 5e-5})
	}
	lengths := c.lengths(d)
	length := d.Rows("context", c.Context, lengths, 0, "texts")
	d.Tell("texts", lengths, length)
	d.FewRows("micro_rows", c.MicroRows, length)
	return d.Chosen, nil
}

// lengths are those of some texts in tokens, none where they are not there yet.
func (c Config) lengths(d *train.Derivation) []int {
	tok, path := d.Tokenizer("base"), d.Path("texts")
	if tok == nil || path == "" {
		return nil
	}
	texts, err := dataset.ReadTexts(path, c.texts())
	if err != nil { // the stage says what is wrong with them
		return nil
	}
	return train.Sample(len(texts.Rows), func(i int) (int, error) {
		ids, _, err := dataset.EncodeText(tok, texts.Rows[i].Text, math.MaxInt)
		return len(ids), err
	})
}
