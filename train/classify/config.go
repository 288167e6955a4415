package classify

import (
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/train"
)

// Config configures the stage.
type Config struct {
	Epochs       float64 `yaml:"epochs" json:"epochs" doc:"times that each text is seen" above:"0"`
	BatchTexts   int     `yaml:"batch_texts" json:"batch_texts" doc:"texts of a step" min:"1"`
	MicroRows    int     `yaml:"micro_rows" json:"micro_rows" doc:"most packed rows of a micro-batch; it changes no result" min:"1"`
	Context      int     `yaml:"context" json:"context" doc:"tokens after which a text is cut; 0: the model's context" min:"0"`
	FreezeBody   bool    `yaml:"freeze_body" json:"freeze_body" doc:"train the new layers alone"`
	ClassWeights string  `yaml:"class_weights" json:"class_weights" doc:"what a text counts in the loss: all alike, or each class alike" enum:"none,balanced"`

	train.OptimizerConfig `yaml:",inline"`

	Validation float64 `yaml:"validation_share" json:"validation_share" doc:"share of the texts that is held out where no file of validation texts is given" min:"0" max:"0.9"`
	Patience   int     `yaml:"patience" json:"patience" doc:"measurements without a better macro-F1 after which the run ends; the best weights stay; 0: all steps, the last weights" min:"0"`
	EvalEvery  int     `yaml:"eval_every" json:"eval_every" doc:"steps between two measurements on the held-out texts" min:"1"`
	Seed       uint64  `yaml:"seed" json:"seed" doc:"of the new layers and the order of the texts"`

	dataset.Reading `yaml:",inline"`

	Header      string `yaml:"header" json:"header" doc:"whether a table's first record names the columns" enum:"auto,yes,no"`
	TextColumn  string `yaml:"text_column" json:"text_column" doc:"key, column or number of the text; empty: the usual names"`
	LabelColumn string `yaml:"label_column" json:"label_column" doc:"key, column or number of the label; empty: the usual names"`
}

// Defaults suit an encoder of some million parameters (Devlin et al. 2019: 2 to
// 4 epochs at 2e-5 to 5e-5 for 110M parameters; small models take more).
func Defaults() Config {
	c := Config{
		Epochs: 3, BatchTexts: 32, MicroRows: 8, ClassWeights: "none",
		OptimizerConfig: train.DefaultOptimizer(1e-4), Validation: .1, EvalEvery: 50, Header: "auto", Reading: dataset.DefaultReading(),
	}
	// A label that is wrong makes a batch leap; it is named and left out.
	c.OnBadBatch = "skip"
	c.Warmup, c.Decay, c.WeightDecay, c.Beta2 = .1, "linear", .01, .999
	return c
}

// texts is how the files of texts are read.
func (c Config) texts() dataset.TextOptions {
	return dataset.TextOptions{
		Reading: c.Reading, Header: c.Header, TextColumn: c.TextColumn, LabelColumn: c.LabelColumn, Labels: true,
	}
}
