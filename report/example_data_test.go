package report

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/stage"
)

// small is a report with one of everything, few enough points to read as a
// golden file. Its texts try to break out of the page.
func small() *Report {
	return &Report{
		Title: "A small run", Intro: "Everything once & nothing <twice>.",
		Facts:     []Fact{{"parameters", "2.16 M"}, {"seed", "1"}},
		Statement: []string{"RLHF enforces a written style.", "It does not make documentation true."},
		Outcomes: []Outcome{
			{"bits per byte", "1.83", "≤ 1.95", Passed, "validation text"},
			{"wins", "0.61 [0.58, 0.64]", "≥ 0.65", Failed, ""},
			{"length", "16.2 words", "", Shown, ""},
		},
		Tables: []stage.Table{{Title: "Rule, item by item", Columns: []string{"Item", "SFT", "PPO"}, Rows: [][]string{{"sentence", "0.20", "0.24"}, {"known | words", "0.19", "–"}}, Note: "Means."}},
		Samples: stage.Samples{Note: "Temperature 1.", Pairs: []stage.Sample{{
			Prompt: "func Close(f *File) error", Reference: "Close closes f.",
			Answers: []stage.Answer{
				{Model: "SFT", Text: "</code></pre><script>alert(1)</script>", Score: .4, Items: []stage.Item{{Name: "sentence", Score: .1, Max: .25}, {Name: "penalty", Score: -.5}}},
				{Model: "PPO", Text: "Close closes the file.\n```\n|", Score: .9, Items: []stage.Item{{Name: "sentence", Score: .25, Max: .25}, {Name: "penalty"}}},
			},
		}}},
		Compute: []StageCompute{
			{"pretrain", 5.3e13, 400, 4_096_000, true},
			{"sft", 2.2e12, 61, 900_000, false},
			{"rankings", 0, .5, 0, false},
		},
		Stages: []Stage{{
			Name: "ppo", Title: "PPO", Description: "From the SFT model.", State: "unchanged",
			Artifact: Artifact{"model", "runs/a/ppo", "0123456789abcdef"}, Inputs: []Artifact{{"sft", "runs/a/sft", "fedcba"}},
			Config: struct {
				Beta  float64               `json:"beta"`
				Betas []float64             `json:"betas"`
				Adam  struct{ Eps float64 } `json:"adam"`
			}{.1, []float64{.9, .95}, struct{ Eps float64 }{1e-5}},
			Charts: []Chart{{"Reward", "iteration", "score", false, []Series{
				{"scores", []float64{1, 2, 3, 4}, []float64{.1, .2, math.NaN(), .4}},
				{"</script><b>kl", []float64{2, 4}, []float64{1, 2.5}},
			}}},
			Tables: []stage.Table{{Title: "Why samples ended", Columns: []string{"Reason", "n"}, Rows: [][]string{{"end token", "120"}}, Note: ""}},
			Notes:  []string{"Simulated annotator.", "*not bold*"},
		}},
		Settings:  []Setting{{"ppo.beta", "0.1", "run.yaml:3"}},
		Artifacts: []Artifact{{"corpus", "runs/a/corpus", "aa11"}},
		Commands:  []Command{{"Chat with the model:", "alma chat runs/a/ppo"}},
	}
}

// large looks like the report of a real run: full-length curves with noise,
// several stages, long names.
func large() *Report {
	noise := func(name string, i int) float64 { return compute.Normal(1, compute.Stream(name), uint64(i)) }
	curveOf := func(name string, n, stride int, f func(t float64) float64, sigma float64) Series {
		s := Series{Name: name}
		for i := 0; i < n; i += stride {
			s.X = append(s.X, float64(i+1))
			s.Y = append(s.Y, f(float64(i)/float64(n))*(1+sigma*noise(name, i)))
		}
		return s
	}
	falling := func(from, to, speed float64) func(float64) float64 {
		return func(t float64) float64 { return to + (from-to)*math.Exp(-speed*t) }
	}
	rate := func(peak float64) func(float64) float64 {
		return func(t float64) float64 {
			if t < .05 {
				return peak * t / .05
			}
			return peak * math.Min(1, 2*(1-t))
		}
	}
	hash := func(name string) string {
		return fmt.Sprintf("%016x%016x%016x%016x", compute.Bits(1, compute.Stream(name), 0), compute.Bits(1, compute.Stream(name), 1),
			compute.Bits(1, compute.Stream(name), 2), compute.Bits(1, compute.Stream(name), 3))
	}
	training := func(n int, from, to, peak float64) []Chart {
		return []Chart{
			{"Loss", "step", "nats per token", false, []Series{curveOf("training", n, 1, falling(from, to, 9), .025), curveOf("validation", n, n/20, falling(from, to+.03, 9), .002)}},
			{"Bits per byte", "step", "bits per byte", false, []Series{curveOf("validation", n, n/20, falling(from*.55, to*.62, 9), .002)}},
			{"Norm of the gradient", "step", "norm before clipping", true, []Series{curveOf("grad_norm", n, 1, falling(6, .4, 14), .2)}},
			{"Learning rate", "step", "learning rate", false, []Series{curveOf("lr", n, 1, rate(peak), 0)}},
		}
	}
	items := []string{"one whole sentence", "7–25 words", "known words", "about this declaration", "verb fits the results", "no repetition"}
	most := []float64{.25, .15, .25, .2, .05, .1}
	answer := func(model, text string, share ...float64) stage.Answer {
		a := stage.Answer{Model: model, Text: text}
		for i, name := range items {
			a.Items = append(a.Items, stage.Item{Name: name, Score: share[i] * most[i], Max: most[i]})
			a.Score += share[i] * most[i]
		}
		return a
	}
	one := func(name, title, description string, charts []Chart, config any) Stage {
		return Stage{Name: name, Title: title, Description: description, Charts: charts, Config: config,
			Artifact: Artifact{"model", "runs/godoc/" + name, hash(name)}, Inputs: []Artifact{{"corpus", "runs/godoc/corpus", hash("corpus")}}}
	}
	ppoCharts := []Chart{
		{"Reward", "iteration", "score, whitened", false, []Series{curveOf("objective/scores", 40, 1, falling(-.1, 1.9, 3), .06), curveOf("objective/rlhf_reward", 40, 1, falling(-.1, 1.6, 3), .06)}},
		{"KL from the SFT model", "iteration", "nats per sequence", false, []Series{curveOf("objective/kl", 40, 1, falling(.05, 3.4, 4), .05)}},
		{"Clipped share", "iteration", "share of tokens", false, []Series{curveOf("policy/clipfrac_avg", 40, 1, falling(.12, .06, 3), .1), curveOf("val/clipfrac_avg", 40, 1, falling(.2, .03, 5), .1)}},
		{"Losses", "iteration", "loss", false, []Series{curveOf("loss/policy_avg", 40, 1, falling(-.004, -.011, 3), .2), curveOf("loss/value_avg", 40, 1, falling(.6, .12, 5), .1)}},
	}
	sft := one("sft", "Supervised fine-tuning", "Dialogues of a declaration and its comment; the loss counts the assistant's tokens and the end token.", training(1690, 3.2, 1.9, 1.5e-3), map[string]any{"epochs": 2, "batch": 16, "lr": 1.5e-3})
	sft.Notes = []string{"412 of 13,974 prompts did not fit 256 tokens and were left out."}
	reward := one("reward", "Reward model", "K-way pairwise loss on four ranked answers per prompt. The rankings come from a simulated annotator: a written rule plus noise, standing in for people.", training(188, .69, .5, 6.5e-4)[:1], nil)
	reward.Tables = []stage.Table{{Title: "Accuracy on held-out prompts, by how far the rule puts the two answers apart", Columns: []string{"Gap of the rule", "Pairs", "Accuracy", "95 % interval"}, Rows: [][]string{{"0 – 0.05", "402", "0.581", "0.532 – 0.628"}, {"0.05 – 0.15", "611", "0.704", "0.667 – 0.739"}, {"0.15 – 0.30", "544", "0.832", "0.798 – 0.861"}, {"0.30 and more", "318", "0.915", "0.879 – 0.941"}}, Note: ""}}
	settings := []Setting{{"budget", "15m", "recipes/godoc.yaml:1"}, {"corpus.held_out", "0.05", "default"}, {"pretrain.layers", "4", "derived from budget 15m"}, {"pretrain.width", "192", "derived from budget 15m"}, {"ppo.beta", "0.1", "--set"}}
	return &Report{
		Title:    "godoc: a model that writes Go doc comments",
		Intro:    "A language model of 2.16 million parameters, taken from the source text of the Go distribution to a policy trained on ranked answers, on two CPU cores.",
		Facts:    []Fact{{"parameters", "2.16 M"}, {"training tokens", "4.10 M"}, {"compute", "96.4 TFLOP"}, {"time", "12 min 41 s"}, {"seed", "1"}, {"engine", "cpu, AVX-512"}},
		Commands: []Command{{"Chat with the model:", "alma chat runs/godoc/ppo"}},
		Statement: []string{
			"Reinforcement learning from ranked answers measurably enforces a written style. After PPO the comments are whole sentences of a sensible length in known words far more often than after supervised fine-tuning alone, on packages that no stage has seen.",
			"It does not make the documentation true. A model of this size does not understand the functions it describes, and the annotator here is simulated: a written rule with noise stands in for people.",
		},
		Outcomes: []Outcome{
			{"Bits per byte after pretraining", "1.826", "≤ 1.95", Passed, "validation text"},
			{"SFT samples that end by themselves", "0.964 [0.951, 0.974]", "≥ 0.90", Passed, "temperature 1, 1,024 held-out prompts"},
			{"Reward model against the noiseless rule", "0.758 [0.738, 0.777]", "≥ 0.70", Passed, "share of held-out pairs ordered alike"},
			{"PPO over SFT, temperature 1", "+0.171 [0.158, 0.184]", "≥ 0.10", Passed, "mean of the rule, paired by prompt"},
			{"Head-to-head wins, temperature .7", "0.538 [0.507, 0.568]", "≥ 0.55", Failed, "ties count half"},
			{"KL from the SFT model", "3.4 nats", "≤ 6", Passed, "per sequence"},
			{"Best of 8 by the reward model", "0.771 [0.762, 0.780]", "", Shown, "mean of the rule"},
		},
		Tables: []stage.Table{{Title: "The rule, item by item", Columns: []string{"Item", "most", "SFT, t = 1", "PPO, t = 1", "SFT, t = .7", "PPO, t = .7", "a person"}, Rows: [][]string{{"one whole sentence", "0.25", "0.171", "0.226", "0.214", "0.240", "0.231"}, {"7–25 words", "0.15", "0.071", "0.129", "0.094", "0.138", "0.113"}, {"known words", "0.25", "0.181", "0.228", "0.223", "0.241", "0.213"}, {"about this declaration", "0.20", "0.079", "0.075", "0.094", "0.089", "0.142"}, {"verb fits the results", "0.05", "0.031", "0.038", "0.034", "0.040", "0.033"}, {"no repetition", "0.10", "0.083", "0.094", "0.091", "0.096", "0.099"}, {"sum", "1.00", "0.616", "0.790", "0.750", "0.844", "0.831"}}, Note: "Means over 1,024 prompts from held-out packages."}},
		Samples: stage.Samples{Note: "The first three held-out prompts, temperature 0.7, nothing selected.", Pairs: []stage.Sample{
			{Prompt: "Write the doc comment for:\nfunc (r *Reader) ReadByte() (byte, error)", Reference: "// ReadByte reads and returns a single byte. If no byte is available, returns an error.",
				Answers: []stage.Answer{answer("SFT", "// ReadByte reads a byte from the reader and returns the number of bytes of the byte of the byte and the number of the", 0, 0, 1, 1, 1, .2), answer("PPO", "// ReadByte reads the next byte from r and returns an error if the reader is closed.", 1, 1, 1, 1, 1, 1)}},
			{Prompt: "Write the doc comment for:\nfunc parseDirective(text string, pos token.Pos) (kind, args string, ok bool)", Reference: "",
				Answers: []stage.Answer{answer("SFT", "// parseDirective parses text.", 1, 0, 1, 1, 0, 1), answer("PPO", "// parseDirective parses the text at pos and reports whether it is a valid directive.", 1, 1, 1, 1, 1, 1)}},
			{Prompt: "Write the doc comment for:\nfunc (m *Map[K, V]) Range(yield func(key K, value V) bool)", Reference: "// Range calls yield sequentially for each key and value present in the map. If yield returns false, range stops the iteration.",
				Answers: []stage.Answer{answer("SFT", "// Range calls f for each key and <value> in the map; see [Map.Load] for the vlaue.", 1, 1, .8, 1, 1, 1), answer("PPO", "// Range calls yield for each key and value in the map.", 1, 1, 1, 1, 1, 1)}},
		}},
		Compute: []StageCompute{{"tokenizer", 0, 9.4, 0, false}, {"pretrain", 5.3e13, 402, 4_096_000, true}, {"sft", 2.2e13, 150, 1_690_000, false}, {"rankings", 3.1e12, 41, 310_000, false}, {"reward", 4.8e12, 37, 520_000, false}, {"ppo", 1.26e13, 108, 610_000, false}, {"evaluate", 9e11, 14, 90_000, false}},
		Stages: []Stage{
			one("pretrain", "Pretraining", "A decoder of 4 layers × 192 on the source text, rows of 256 tokens, AdamW with warm-up and a linear decay over the last half.", training(2000, 7.6, 2.7, 3e-3), map[string]any{"layers": 4, "width": 192, "heads": 6, "batch": 8, "lr": 3e-3}),
			sft, reward,
			one("ppo", "PPO", "Policy from SFT, critic from the reward model, frozen reference; r − β·KL per token, GAE, clipped losses and a share of pretraining loss in every step.", ppoCharts, map[string]any{"beta": .1, "lam": .95, "cliprange": .2, "lr": 3e-4}),
		},
		Settings:  settings,
		Artifacts: []Artifact{{"corpus", "runs/godoc/corpus", hash("corpus")}, {"tokenizer", "runs/godoc/tokenizer", hash("tokenizer")}, {"pretrain", "runs/godoc/pretrain", hash("pretrain")}, {"sft", "runs/godoc/sft", hash("sft")}, {"reward", "runs/godoc/reward", hash("reward")}, {"ppo", "runs/godoc/ppo", hash("ppo")}},
	}
}
