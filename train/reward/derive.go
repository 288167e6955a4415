package reward

import (
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// derive chooses by the model and the rankings what nobody set. The rates of a
// published model are lower than those of fine-tuning it: a pair says less than a text.
func derive(c Config, b stage.Basis) ([]stage.Chosen, error) {
	d := train.Derive(b, "base", model.Scalar, c.LoRAConfig)
	if d == nil {
		return nil, nil
	}
	d.Rate("lr", train.Rates{Here: c.LR, Whole: 2e-5, Adapter: 2e-4})
	if d.Published {
		d.Choose("warmup", .1, "a published model")
	}
	learned := c.Epochs * float64(b.In["rankings"].Rows)
	texts := c.texts(d)
	var lengths []int
	for _, of := range texts {
		lengths = append(lengths, of...)
	}
	slices.Sort(lengths)
	length := d.Rows("context", c.Context, lengths, 0, "answers with their prompts")
	d.Tell("rankings", lengths, length)
	batch := d.Batch("batch_prompts", c.BatchPrompts, learned, "prompts")
	d.MeasureEvery("eval_every", int(math.Ceil(learned/float64(batch))), learned, train.HeldOut(b.In, "rankings", c.ValidationShare))
	if rows := together(texts, length); d.Large() && rows > 0 && rows < c.MicroRows {
		d.Choose("micro_rows", rows, "the answers to a prompt take up to %d rows of %s tokens", rows, progress.Count(int64(length)))
	}
	return d.Chosen, nil
}

// texts are the lengths in tokens of the texts of some rankings, none where they are
// not there yet.
func (c Config) texts(d *train.Derivation) [][]int {
	template, path := d.Template("base"), d.Path("rankings")
	if template == nil || path == "" {
		return nil
	}
	rankings, err := dataset.ReadRankings(path, c.Reading)
	if err != nil { // the stage says what is wrong with them
		return nil
	}
	return train.Some(len(rankings.Rows), func(i int) (of []int, err error) {
		one, err := preference.Tokenize(template, rankings.Rows[i])
		for _, text := range one.Texts {
			of = append(of, len(text))
		}
		return of, err
	})
}

// together is how many rows of so many tokens the texts of a prompt take at most; those
// with a text that is longer are left out.
func together(texts [][]int, length int) (rows int) {
	for _, of := range texts {
		if packed, err := dataset.Pack(of, length); err == nil {
			rows = max(rows, len(packed))
		}
	}
	return rows
}
