package sft

import (
	"math"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// derive chooses by the model and the dialogues what nobody set. 5e-5 lowers the
// held-out loss of a published model of 135 M parameters where 1.5e-3 raises it, and
// 5e-4 does with an adapter (docs/log.md, a published model on a laptop).
func derive(c Config, b stage.Basis) ([]stage.Chosen, error) {
	d := train.Derive(b, "base", model.LanguageModel, c.LoRAConfig)
	if d == nil {
		return nil, nil
	}
	d.Rate("lr", train.Rates{Here: c.LR, Whole: 5e-5, Adapter: 5e-4})
	if d.Published {
		d.Choose("warmup", .1, "a published model")
	}
	lengths := c.lengths(d)
	length := d.Rows("context", c.Context, lengths, 0, "dialogues")
	d.Tell("dialogues", lengths, length)
	dialogues := b.In["dialogues"]
	epochs := d.Epochs("epochs", c.Epochs, dialogues.Rows, "dialogues")
	rows := epochs * train.PackedRows(dialogues, float64(dialogues.Rows), length)
	batch := d.Batch("batch_rows", c.BatchRows, rows, "rows")
	d.MeasureEvery("eval_every", int(math.Ceil(rows/float64(batch))), epochs*float64(dialogues.Rows), train.HeldOut(b.In, "dialogues", c.ValidationShare))
	d.MicroRows("micro_rows", c.MicroRows, batch, length, func(rows int, recompute bool) int64 {
		c.MicroRows, c.Context, c.Recompute = rows, length, recompute
		e, _ := estimate(c, b.In) // what is wrong with it, the stage says
		return e.Memory
	})
	return d.Chosen, nil
}

// lengths are those of some dialogues in tokens, none where they are not there yet.
func (c Config) lengths(d *train.Derivation) []int {
	template, path := d.Template("base"), d.Path("dialogues")
	if template == nil || path == "" {
		return nil
	}
	chats, err := dataset.ReadDialogues(path, c.Reading)
	if err != nil { // the stage says what is wrong with them
		return nil
	}
	return train.Sample(len(chats.Rows), func(i int) (int, error) {
		e, err := dataset.ExampleOf(template, chats.Rows[i])
		return len(e.Tokens), err
	})
}
