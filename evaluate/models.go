package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate/answers"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// Stage is the evaluation of models as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "evaluate", Title: "Evaluation",
	Does:     "Holds language models against the first of them: on a text, on prompts by a reward model or a rule, on held-out rankings. What has no input is left out, and said.",
	Defaults: Defaults,
	Inputs: []stage.Input{
		{Name: "models", Kinds: stage.Of(stage.Model), Required: true, Many: true, Doc: "the models; the later ones are held against the first"},
		{Name: "prompts", Kinds: stage.Of(stage.Prompts, stage.Dialogues), Doc: "prompts to answer, or dialogues, whose last turns are people's answers"},
		{Name: "answers", Kinds: stage.Of(stage.Dialogues), Doc: "dialogues with people's answers to the prompts"},
		{Name: "text", Kinds: stage.Of(stage.Shards, stage.PlainText), Doc: "text to foretell: a file, or token shards of the models' vocabulary"},
		{Name: "reward", Kinds: stage.Of(stage.RewardModel), Doc: "the reward model that judges the answers"},
		{Name: "rankings", Kinds: stage.Of(stage.Rankings), Doc: "held-out rankings or pairs to foretell"},
	},
	Outputs: []stage.Output{{Kind: stage.Evaluation, Doc: EvaluationFile}},
	Check: func(_ context.Context, c Config, in stage.Inputs, tell stage.Tell) error {
		_, err := c.names(in["models"])
		return errors.Join(err, checkInputs(in),
			stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadAsked(path, c.Reading)) }, "prompts", "answers"),
			stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadRankings(path, c.Reading)) }, "rankings"))
	},
	Run: func(ctx context.Context, w *stage.Work, c Config) error {
		e, flops, err := Models(ctx, w.Environment, c, w.In)
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(e, "", " ")
		if err != nil {
			return fmt.Errorf("encoding the evaluation: %w", err)
		}
		if err := artifact.WriteFile(w.Path(EvaluationFile), data); err != nil {
			return err
		}
		w.Manifest.FLOPs, w.Manifest.Metrics, w.Manifest.Notes, w.Manifest.Rejected = float64(flops), e.Metrics(), e.Notes, e.Rejected
		return nil
	},
	Estimate: estimate,
	Describe: func(d stage.Done, _ Config) (stage.Description, error) {
		e, err := ReadEvaluation(d.Folder)
		return stage.Description{Tables: e.Tables(), Notes: e.Notes, Samples: e.Shown()}, err
	},
})

// checkInputs refuses inputs that leave nothing to measure.
func checkInputs(in stage.Inputs) error {
	switch {
	case in.Path("prompts") == "" && in.Path("text") == "" && in.Path("rankings") == "":
		return artifact.Errorf(artifact.ErrUsage, "configuring evaluate: there is nothing to measure on; give prompts, a text or rankings")
	case in.Path("answers") != "" && in.Path("prompts") == "":
		return artifact.Errorf(artifact.ErrUsage, "configuring evaluate: answers go with prompts; give the dialogues as prompts")
	}
	return nil
}

// Models measures models as the stage does, without its folder: the inputs are the
// stage's by name.
func Models(ctx context.Context, env stage.Environment, c Config, in stage.Inputs) (e Evaluation, flops int64, err error) {
	if err := errors.Join(c.Validate(), checkInputs(in)); err != nil {
		return e, 0, err
	}
	v := &evaluation{env: env, config: c, in: in, result: &e}
	if err := v.read(); err != nil {
		return e, 0, err
	}
	for i, folder := range in["models"] {
		if err := v.measure(ctx, i, folder); err != nil {
			return e, 0, fmt.Errorf("measuring %s: %w", v.names[i], err)
		}
		debug.FreeOSMemory() // the next model is as large
	}
	err = v.compare(ctx)
	if v.reward != nil {
		v.flops += v.reward.FLOPs()
	}
	return e, v.flops, err
}

// evaluation is the state of a measurement.
type evaluation struct {
	env    stage.Environment
	config Config
	in     stage.Inputs
	names  []string
	result *Evaluation
	flops  int64

	asked    []dataset.Asked // drawn
	rankings []dataset.Ranking
	window   int // of the text
	first    *subject
	written  []map[int][]answers.Answer // of each model by the prompt's place in asked: at each temperature
	judges   []judge
	reward   *preference.RewardModel
}

// judge is who judges answers, by the key in AnswersResult.Judged.
type judge struct {
	by   string
	rule preference.Rule
}

// note tells of something that is left out.
func (v *evaluation) note(format string, args ...any) {
	v.result.Notes = append(v.result.Notes, fmt.Sprintf(format, args...))
}

// record says what a file held.
func (v *evaluation) record(a *dataset.Account) {
	a.Record(v.env.Log, nil)
	v.result.Rejected = append(v.result.Rejected, a.Rejected...)
}

// read reads what is not a model, and the names.
func (v *evaluation) read() (err error) {
	c, in := v.config, v.in
	if v.names, err = c.names(in["models"]); err != nil {
		return err
	}
	if path := in.Path("prompts"); path == "" {
		v.note("Without prompts there are no answers to measure.")
	} else if err := v.readPrompts(path); err != nil {
		return err
	}
	if path := in.Path("rankings"); path == "" {
		v.note("Without rankings there is no preference to foretell.")
	} else {
		f, err := dataset.ReadRankings(path, c.Reading)
		if err != nil {
			return err
		}
		v.record(f.Account)
		v.rankings = f.Rows
	}
	if in.Path("text") == "" {
		v.note("Without a text there are no bits per byte and no perplexity.")
	} else if v.window, err = c.windowOf(in["models"]); err != nil {
		return err
	}
	if path := in.Path("reward"); path != "" {
		if v.reward, err = preference.OpenRewardModel(v.env.Engine, path); err != nil {
			return err
		}
		v.judges = append(v.judges, judge{byReward, v.reward})
	} else if c.Rule == NoRule && len(v.asked) > 0 {
		v.note("Without a reward model or a rule nothing judges the answers, so there are no wins.")
	}
	switch c.Rule {
	case ByLength:
		v.judges = append(v.judges, judge{byRule, preference.Length(c.Words)})
	case ByCommand:
		program, err := preference.NewProgram(c.Command)
		if err != nil {
			return err
		}
		v.judges = append(v.judges, judge{byRule, program})
	}
	return nil
}

// readPrompts reads the prompts, with people's answers from both files, and draws.
func (v *evaluation) readPrompts(path string) error {
	prompts, err := dataset.ReadAsked(path, v.config.Reading)
	if err != nil {
		return err
	}
	for _, folder := range v.in["models"] {
		tok, err := file.LoadTokenizer(folder)
		if err != nil {
			return err
		}
		template, err := chat.For(tok)
		if err != nil {
			return err
		}
		if err := dataset.Renderable(template, prompts); err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
	}
	v.record(prompts.Account)
	all, repeated := answers.Distinct(prompts.Rows)
	if repeated > 0 {
		v.note("%s prompts are there twice and were asked once.", progress.Count(int64(repeated)))
	}
	if path := v.in.Path("answers"); path != "" {
		people, err := dataset.ReadAsked(path, v.config.Reading)
		if err != nil {
			return err
		}
		v.record(people.Account)
		reference := map[string]string{}
		for _, a := range people.Rows {
			if key := answers.Key(a.Prompt); reference[key] == "" {
				reference[key] = a.Reference
			}
		}
		for i, a := range all {
			if a.Reference == "" {
				all[i].Reference = reference[answers.Key(a.Prompt)]
			}
		}
	}
	drawn, _ := answers.Draw(v.config.Seed, len(all), v.config.Prompts, 0)
	for _, i := range drawn {
		v.asked = append(v.asked, all[i])
	}
	return nil
}

// windowOf is the window in which all models see the text.
func (c Config) windowOf(folders []string) (int, error) {
	if c.Context > 0 {
		return c.Context, nil
	}
	window := 512 // llama.cpp's
	for _, folder := range folders {
		known, err := file.ReadConfig(folder)
		if err != nil {
			return 0, err
		}
		window = min(window, known.Context)
	}
	return window, nil
}

// subject is a model that is measured.
type subject struct {
	name     string
	model    *model.Model
	tok      *tokenizer.Tokenizer
	template *chat.Template
	logProb  []logProbs // of the rankings' completions
}

// logProbs are those of one ranking's completions [K], nil where one does not fit.
type logProbs []float64

// measure takes what a model says alone, and its divergence from the first.
func (v *evaluation) measure(ctx context.Context, i int, folder string) error {
	s := &subject{name: v.names[i]}
	var err error
	if s.model, s.tok, err = train.LoadModel(v.env.Engine, folder); err != nil {
		return err
	}
	if s.model.Head != model.LanguageModel {
		return artifact.Errorf(artifact.ErrUsage, "%s has a %q head; give a language model", folder, s.model.Head)
	}
	if s.template, err = chat.For(s.tok); err != nil {
		return err
	}
	if i == 0 {
		v.first = s
	}
	r := ModelResult{Name: s.name}
	if r.Text, err = v.text(ctx, s); err != nil {
		return err
	}
	if r.Rankings, err = v.foretell(ctx, s); err != nil {
		return err
	}
	written := map[int][]answers.Answer{}
	if len(v.asked) > 0 {
		prompts := make([]dataset.Prompt, len(v.asked))
		for j, a := range v.asked {
			prompts[j] = a.Prompt
		}
		w, err := answers.NewWriter(s.model, s.tok, prompts, answers.Options{Slots: v.config.Slots, MaxTokens: v.config.MaxTokens})
		if err != nil {
			return err
		}
		if left := len(prompts) - len(w.Prompts); left > 0 {
			v.note("%s: %s prompts leave no room for an answer of %d tokens and were left out for every model.", s.name, progress.Count(int64(left)), v.config.MaxTokens)
		}
		for _, temperature := range v.config.Temperatures {
			label := fmt.Sprintf("%s answers at temperature %g", s.name, temperature)
			texts, err := w.Write(ctx, v.env.Log, label, 1, answers.Sampling{Temperature: temperature, Seed: v.config.Seed})
			if err != nil {
				return err
			}
			for j, place := range w.Kept {
				written[place] = append(written[place], texts[j][0])
			}
		}
		v.flops += w.FLOPs()
		if r.KL, err = v.divergence(ctx, s, w, written); err != nil {
			return err
		}
	}
	v.written = append(v.written, written)
	v.result.Models = append(v.result.Models, r)
	return nil
}

// text measures a model on the text, nil where there is none for it.
func (v *evaluation) text(ctx context.Context, s *subject) (*TextResult, error) {
	path := v.in.Path("text")
	if path == "" {
		return nil, nil
	}
	var tokens []int32
	var err error
	if isShards(path) {
		fits := false
		if tokens, fits, err = readShards(path, s.tok, v.config.TextTokens); err == nil && !fits {
			v.note("%s: the token shards were made with another vocabulary, so it was not measured on them; give the text as a file.", s.name)
			return nil, nil
		}
	} else {
		tokens, _, err = ReadText(ctx, s.tok, path)
	}
	if err != nil {
		return nil, err
	}
	if n := v.config.TextTokens; n > 0 {
		tokens = tokens[:min(n, len(tokens))]
	}
	label := s.name + " reads the text"
	r, flops, err := measureText(ctx, s.model, s.tok, tokens, v.config, v.window, func(done, all int) {
		v.env.Log.Progress.Show(progress.Line{Label: label, Done: int64(done), Total: int64(all)})
	})
	v.env.Log.Progress.Done()
	v.flops += flops
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// score returns the log-probability of each example's trained tokens, in nats.
func (v *evaluation) score(ctx context.Context, s *subject, examples []dataset.Example) ([]float64, error) {
	if len(examples) == 0 {
		return nil, nil
	}
	longest := slices.Max(dataset.Lengths(examples))
	lm, err := train.NewEvaluation(s.model, max(1, tokensAtOnce/longest), longest)
	if err != nil {
		return nil, err
	}
	out, err := train.LogProbs(ctx, lm, examples)
	rows, packErr := dataset.Pack(dataset.Lengths(examples), longest)
	v.flops += lm.ForwardFLOPs() * int64((len(rows)+lm.B-1)/lm.B)
	return out, errors.Join(err, packErr)
}

// continued is an example of what follows a prompt.
func continued(prompt, all []int32) dataset.Example {
	e := dataset.Example{Tokens: all, Trained: make([]bool, len(all))}
	for t := len(prompt); t < len(all); t++ {
		e.Trained[t] = true
	}
	return e
}

// divergence measures the KL of a model from the first, nil where it cannot be.
func (v *evaluation) divergence(ctx context.Context, s *subject, w *answers.Writer, written map[int][]answers.Answer) (*stats.Estimate, error) {
	if s == v.first {
		return nil, nil
	}
	at := slices.Index(v.config.Temperatures, 1)
	if at < 0 {
		v.note("%s: KL is measured on answers at temperature 1, which is none of the temperatures.", s.name)
		return nil, nil
	}
	if !sameVocabulary(s.tok, v.first.tok) {
		v.note("%s has another vocabulary than %s, so there is no KL between them.", s.name, v.first.name)
		return nil, nil
	}
	var own, others []dataset.Example
	long := 0
	for j, place := range w.Kept {
		tokens := written[place][at].Tokens
		asked, err := w.Prompts[j].Render(v.first.template)
		if err != nil {
			return nil, err
		}
		if len(asked)+len(tokens) > v.first.model.Context {
			long++
			continue
		}
		own = append(own, continued(w.IDs[j], slices.Concat(w.IDs[j], tokens)))
		others = append(others, continued(asked, slices.Concat(asked, tokens)))
	}
	if long > 0 {
		v.note("%s: %s answers do not fit into the context of %s and were left out of the KL.", s.name, progress.Count(int64(long)), v.first.name)
	}
	a, err := v.score(ctx, s, own)
	if err != nil {
		return nil, err
	}
	b, err := v.score(ctx, v.first, others)
	if err != nil {
		return nil, err
	}
	for i := range a {
		a[i] -= b[i]
	}
	kl := stats.MeanInterval(a)
	return &kl, nil
}

// sameVocabulary tells whether every token is the same bytes in both.
func sameVocabulary(a, b *tokenizer.Tokenizer) bool {
	if a.VocabSize() != b.VocabSize() {
		return false
	}
	for id := range int32(a.VocabSize()) {
		if !bytes.Equal(a.TokenBytes(id), b.TokenBytes(id)) {
			return false
		}
	}
	return true
}

// foretell measures how far a model's likelihood agrees with the rankings.
func (v *evaluation) foretell(ctx context.Context, s *subject) (*RankingsResult, error) {
	if len(v.rankings) == 0 {
		return nil, nil
	}
	var examples []dataset.Example
	for i, r := range v.rankings {
		prompt, err := r.Prompt.Render(s.template)
		if err != nil {
			return nil, fmt.Errorf("rendering ranking %d: %w", i, err)
		}
		own := make([]dataset.Example, len(r.Completions))
		fits := true
		for k, text := range r.Completions {
			ids, err := r.Prompt.RenderAnswer(s.template, text, r.EndedAt(k))
			if err != nil {
				return nil, fmt.Errorf("rendering ranking %d: %w", i, err)
			}
			own[k] = continued(prompt, ids)
			fits = fits && len(ids) <= s.model.Context
		}
		if !fits {
			s.logProb = append(s.logProb, nil)
			continue
		}
		s.logProb = append(s.logProb, make(logProbs, len(own)))
		examples = append(examples, own...)
	}
	scores, err := v.score(ctx, s, examples)
	if err != nil {
		return nil, err
	}
	var plain, perByte, implicit [][]float64
	for i, own := range s.logProb {
		if own == nil {
			plain, perByte, implicit = append(plain, nil), append(perByte, nil), append(implicit, nil)
			continue
		}
		copy(own, scores)
		scores = scores[len(own):]
		byBytes, lead := make([]float64, len(own)), []float64(nil)
		if reference := v.first.logProb[i]; s != v.first && reference != nil {
			lead = make([]float64, len(own))
			for k := range own {
				lead[k] = own[k] - reference[k]
			}
		}
		for k := range own {
			byBytes[k] = own[k] / float64(max(1, len(v.rankings[i].Completions[k])))
		}
		plain, perByte, implicit = append(plain, own), append(perByte, byBytes), append(implicit, lead)
	}
	r := v.agreement(s.name, plain)
	if r == nil {
		return nil, nil
	}
	if a := v.agreement("", perByte); a != nil {
		r.PerByte = &a.Accuracy
	}
	if a := v.agreement("", implicit); a != nil && s != v.first {
		r.Implicit = &a.Accuracy
	}
	return r, nil
}

// agreement is the share of the rankings' pairs that scores put in their order, by
// prompts with scores; nil where there are no pairs. It tells of what is left out
// under a name, if that is not "".
func (v *evaluation) agreement(name string, scores [][]float64) *RankingsResult {
	type part struct{ right, pairs float64 }
	var parts []part
	out := RankingsResult{}
	long := 0
	for i, r := range v.rankings {
		if scores[i] == nil {
			long++
			continue
		}
		truth := make([]float64, len(r.Ranks))
		for k, rank := range r.Ranks {
			truth[k] = -float64(rank)
		}
		p := part{}
		for _, pair := range stats.Pairs(scores[i], truth) {
			p.right += stats.Agreement(pair.Margin)
			p.pairs++
		}
		if p.pairs > 0 {
			parts = append(parts, p)
			out.Prompts++
			out.Pairs += int(p.pairs)
		}
	}
	if long > 0 && name != "" {
		v.note("%s: %s rankings do not fit into its context and were left out.", name, progress.Count(int64(long)))
	}
	if out.Pairs == 0 {
		return nil
	}
	out.Accuracy = stats.Bootstrap(len(parts), resamples, v.config.Seed, func(pick []int) float64 {
		var right, pairs float64
		for _, i := range pick {
			right, pairs = right+parts[i].right, pairs+parts[i].pairs
		}
		return right / pairs
	})
	return &out
}

// compare judges the answers to the prompts that all models answered, and the
// rankings by the reward model.
func (v *evaluation) compare(ctx context.Context) error {
	if v.reward != nil && len(v.rankings) > 0 {
		if err := v.rewardRankings(ctx); err != nil {
			return err
		}
	}
	if len(v.asked) == 0 {
		return nil
	}
	var common []int // prompts that all answered
	for i := range v.asked {
		if !slices.ContainsFunc(v.written, func(w map[int][]answers.Answer) bool { return w[i] == nil }) {
			common = append(common, i)
		}
	}
	if len(common) == 0 {
		return artifact.Errorf(artifact.ErrUsage, "comparing models: no prompt leaves room for an answer of %d tokens in every model; give a smaller max_tokens or shorter prompts", v.config.MaxTokens)
	}
	e := v.result
	e.Prompts = len(common)
	people, err := v.people(ctx, common)
	if err != nil {
		return err
	}
	if people != nil {
		e.People = people.result
		if n := people.result.Prompts; n < len(common) {
			v.note("People answered %s of the %s prompts; models are held against them on those.", progress.Count(int64(n)), progress.Count(int64(len(common))))
		}
	} else {
		v.note("Without people's answers the models are held against each other alone.")
	}
	var firsts []*system
	rewards := map[[2]int][]float64{} // by model and temperature
	all := len(v.written) * len(v.config.Temperatures) * len(common)
	defer v.env.Log.Progress.Done()
	for i := range v.written {
		for j, temperature := range v.config.Temperatures {
			v.env.Log.Progress.Show(progress.Line{Label: "judging answers", Done: int64((i*len(v.config.Temperatures) + j) * len(common)), Total: int64(all)})
			s, err := v.system(ctx, i, j, common)
			if err != nil {
				return err
			}
			s.result.Temperature = temperature
			rewards[[2]int{i, j}] = s.scores[byReward]
			if i == 0 {
				firsts = append(firsts, s)
			}
			for _, x := range v.judges {
				judged := s.result.Judged[x.by]
				if i > 0 {
					judged.First = v.versus(s.scores[x.by], firsts[j].scores[x.by], common, common)
				}
				if people != nil {
					judged.People = v.versus(s.scores[x.by], people.scores[x.by], common, people.places)
				}
				s.result.Judged[x.by] = judged
			}
			e.Models[i].Answers = append(e.Models[i].Answers, s.result)
		}
	}
	for i := range min(v.config.Samples, len(common)) {
		at := i * len(common) / min(v.config.Samples, len(common))
		place := common[at]
		sample := Sample{Prompt: v.asked[place].Prompt.Text(), Prefill: v.asked[place].Prompt.Prefill, Reference: v.asked[place].Reference}
		for m, w := range v.written {
			for j, a := range w[place] {
				answer := SampleAnswer{Model: v.names[m], Temperature: v.config.Temperatures[j], Text: a.Text, Ended: a.Ended}
				if scores := rewards[[2]int{m, j}]; scores != nil && !math.IsNaN(scores[at]) {
					answer.Reward = &scores[at]
				}
				sample.Answers = append(sample.Answers, answer)
			}
		}
		e.Samples = append(e.Samples, sample)
	}
	return nil
}

// rewardRankings measures how far the reward model foretells the rankings.
func (v *evaluation) rewardRankings(ctx context.Context) error {
	var all []dataset.Completion
	for _, r := range v.rankings {
		for k, text := range r.Completions {
			all = append(all, dataset.Completion{Prompt: r.Prompt, Text: text, Ended: r.EndedAt(k)})
		}
	}
	flat, err := v.reward.Judge(ctx, all)
	if err != nil {
		return err
	}
	scores := make([][]float64, len(v.rankings))
	for i, r := range v.rankings {
		own := flat[:len(r.Completions)]
		flat = flat[len(own):]
		if !slices.ContainsFunc(own, math.IsNaN) {
			scores[i] = own
		}
	}
	v.result.RewardRankings = v.agreement("The reward model", scores)
	return nil
}

// system is what one system answered.
type system struct {
	result *AnswersResult
	places []int                // of the prompts
	scores map[string][]float64 // by judge, of each prompt; NaN where it cannot judge
}

// people are the answers that people gave, nil if there are none.
func (v *evaluation) people(ctx context.Context, common []int) (*system, error) {
	var places []int
	var list []dataset.Completion
	for _, place := range common {
		if a := v.asked[place]; a.Reference != "" {
			places = append(places, place)
			list = append(list, dataset.Completion{Prompt: a.Prompt, Text: a.Reference, Ended: true})
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return v.judge(ctx, People, places, list)
}

// system measures the answers of a model at a temperature.
func (v *evaluation) system(ctx context.Context, model, temperature int, common []int) (*system, error) {
	list := make([]dataset.Completion, len(common))
	tokens := make([]float64, len(common))
	for i, place := range common {
		a := v.written[model][place][temperature]
		list[i] = dataset.Completion{Prompt: v.asked[place].Prompt, Text: a.Text, Ended: a.Ended}
		tokens[i] = float64(len(a.Tokens))
	}
	s, err := v.judge(ctx, fmt.Sprintf("%s, temperature %g", v.names[model], v.config.Temperatures[temperature]), common, list)
	if err != nil {
		return nil, err
	}
	mean := stats.MeanInterval(tokens)
	s.result.Tokens = &mean
	return s, nil
}

// judge measures and judges a system's answers to the prompts of places.
func (v *evaluation) judge(ctx context.Context, name string, places []int, list []dataset.Completion) (*system, error) {
	s := &system{result: &AnswersResult{Prompts: len(list), Judged: map[string]Judge{}}, places: places, scores: map[string][]float64{}}
	ended := 0.
	words := make([]float64, len(list))
	texts := make([]string, len(list))
	for i, a := range list {
		if a.Ended {
			ended++
		}
		words[i], texts[i] = float64(stats.Words(a.Text)), a.Text
	}
	s.result.Ended = stats.ProportionInterval(ended, len(list))
	s.result.Words = stats.MeanInterval(words)
	s.result.Openings = stats.DistinctOpenings(texts, 3).Ratio
	for _, x := range v.judges {
		scores, err := x.rule.Judge(ctx, list)
		if err != nil {
			return nil, err
		}
		known := slices.DeleteFunc(slices.Clone(scores), math.IsNaN)
		if left := len(scores) - len(known); left > 0 {
			v.note("%s: the %s cannot judge %s answers, which do not fit into its context.", name, x.rule.Name(), progress.Count(int64(left)))
		}
		s.scores[x.by] = scores
		s.result.Judged[x.by] = Judge{Name: x.rule.Name(), Score: stats.MeanInterval(known)}
	}
	return s, nil
}

// versus compares scores of the prompts of two lists of places, both in order, on
// those that are in both and judged in both; nil where there are none.
func (v *evaluation) versus(a, b []float64, placesA, placesB []int) *Versus {
	var x, y []float64
	for i, place := range placesA {
		if j, found := slices.BinarySearch(placesB, place); found && !math.IsNaN(a[i]) && !math.IsNaN(b[j]) {
			x, y = append(x, a[i]), append(y, b[j])
		}
	}
	if len(x) == 0 {
		return nil
	}
	return &Versus{Wins: stats.WinRate(x, y), Difference: stats.BootstrapPairedDifference(x, y, resamples, v.config.Seed)}
}
