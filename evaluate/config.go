package evaluate

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
)

// The ways to measure perplexity.
const (
	Stride = "stride" // every token but the first is scored once; see strides
	Halves = "halves" // as llama.cpp; see Perplexity
)

// The rules that judge answers beside a reward model.
const (
	NoRule    = "none"
	ByLength  = "length"
	ByCommand = "command"
)

// Names under which others than the models are measured.
const (
	People      = "people"
	RewardModel = "reward_model"
)

// Config configures the stage.
type Config struct {
	Names        []string  `yaml:"names" json:"names" doc:"of the models, in order; by default those of their folders"`
	Temperatures []float64 `yaml:"temperatures" json:"temperatures" doc:"at which each model answers every prompt; 0 takes the most likely token" min:"0"`
	MaxTokens    int       `yaml:"max_tokens" json:"max_tokens" doc:"longest answer; a prompt that leaves no room for it is left out" min:"1"`
	Prompts      int       `yaml:"max_prompts" json:"max_prompts" doc:"prompts, drawn by the seed; 0: all" min:"0"`
	Samples      int       `yaml:"samples" json:"samples" doc:"prompts whose answers are shown side by side" min:"0"`

	Rule    string `yaml:"rule" json:"rule" doc:"what judges answers beside the reward model: their length, or a program" enum:"none,length,command"`
	Words   int    `yaml:"words" json:"words" doc:"by length: the nearer to so many words, the better" min:"1"`
	Command string `yaml:"command" json:"command,omitempty" doc:"by command: program that reads a line for each answer and writes a number for each, as PPO's reward_command"`

	Perplexity string `yaml:"perplexity" json:"perplexity" doc:"how the text is scored: every token once, stride by stride, or the second halves of windows as llama.cpp does" enum:"stride,halves"`
	Context    int    `yaml:"context" json:"context" doc:"tokens of a window of the text; 0: 512, or the smallest context of the models if that is smaller" min:"0"`
	Stride     int    `yaml:"stride" json:"stride" doc:"tokens from one window to the next; 0: half a window" min:"0"`
	TextTokens int    `yaml:"text_tokens" json:"text_tokens" doc:"tokens of the text that are used, from its beginning; 0: all" min:"0"`

	dataset.Reading `yaml:",inline"`

	Slots int    `yaml:"slots" json:"slots" doc:"answers that are written at one time; they change none" min:"1"`
	Seed  uint64 `yaml:"seed" json:"seed" doc:"of the choice of prompts, the sampling and the intervals"`

	// Precision is that of the engine, empty for fp32; see train.OptimizerConfig.
	Precision string `yaml:"-" json:"precision,omitempty"`
}

// InPrecision records the precision of the engine that the stage runs on.
func (c *Config) InPrecision(precision string) { c.Precision = precision }

// Defaults measure at the temperature of training and at one that people use.
func Defaults() Config {
	return Config{
		Temperatures: []float64{1, .7}, MaxTokens: 128, Prompts: 200, Samples: 8,
		Rule: NoRule, Words: 40, Perplexity: Stride, Slots: 32, Reading: dataset.DefaultReading(),
	}
}

// Validate checks what no single value can say.
func (c Config) Validate() error {
	if len(c.Temperatures) == 0 {
		return artifact.Errorf(artifact.ErrUsage, "configuring evaluate: no temperatures; give one at least, as temperatures: [1]")
	}
	for i, t := range c.Temperatures {
		if slices.Index(c.Temperatures, t) != i {
			return artifact.Errorf(artifact.ErrUsage, "configuring evaluate: temperature %g is there twice; give each once", t)
		}
	}
	if (c.Rule == ByCommand) != (c.Command != "") {
		return artifact.Errorf(artifact.ErrUsage, "configuring evaluate: a program judges where rule is command, and rule is %s; give both or neither", c.Rule)
	}
	return nil
}

// names are those of the models in order: given, or of their folders, with a number
// where two are called the same.
func (c Config) names(folders []string) ([]string, error) {
	if len(c.Names) == 0 {
		var names []string
		for _, folder := range folders {
			base := strings.TrimSuffix(filepath.Base(filepath.Clean(folder)), ".gguf")
			name := base
			for n := 2; reserved(name) || slices.Contains(names, name); n++ {
				name = fmt.Sprintf("%s-%d", base, n)
			}
			names = append(names, name)
		}
		return names, nil
	}
	if len(c.Names) != len(folders) {
		return nil, artifact.Errorf(artifact.ErrUsage, "configuring evaluate: %d names for %d models; give one for each, or none", len(c.Names), len(folders))
	}
	for i, name := range c.Names {
		if name == "" || reserved(name) || strings.Contains(name, "/") || slices.Index(c.Names, name) != i {
			return nil, artifact.Errorf(artifact.ErrUsage, "configuring evaluate: %q cannot be the name of model %d: names are not empty, differ, hold no /, %q is for people's answers and %q for the reward model", name, i+1, People, RewardModel)
		}
	}
	return c.Names, nil
}

func reserved(name string) bool { return name == People || name == RewardModel }
