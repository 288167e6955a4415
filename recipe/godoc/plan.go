package godoc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// What is assumed before anything has been read: sizes of the data that Go
// 1.26's tree gives with the default vocabulary. A run counts them.
const (
	assumedPrompt      = 48.0    // tokens of a prompt
	assumedAnswer      = 26.0    // tokens of an answer, its end included
	assumedFunctions   = 13300   // training dialogues
	assumedHeldOut     = 450     // functions of the test packages
	assumedDemos       = 280     // validation dialogues, which set the reward model's bias
	assumedValidation  = 105_000 // tokens of validation text
	assumedPacking     = .94     // of a packed row that is used
	prefillTokens      = 8 * 32  // of a run of the generator that reads prompts
	assumedReading     = .35     // of such a run: slots become free one by one
	assumedFill        = .8      // of the generator's slots that are in use
	shareWhileTraining = .56     // of the measured peak
	shareWhileWriting  = .35     // the same while sampling token by token
	secondsOfCorpus    = 15.0    // reading, tokenizer and dialogues, without FLOPs
	leastVocabulary    = 260     // bytes and special tokens
)

// Plan is what a recipe is expected to take.
type Plan struct {
	Parameters int64
	Peak       float64 // of the machine in FLOP/s, 0 if it was not measured
	Stages     []PlannedStage
}

// PlannedStage is one stage of a Plan.
type PlannedStage struct {
	Name    string
	Steps   int64 // of the optimizer
	Tokens  int64 // through the model
	FLOPs   float64
	Memory  int64   // bytes of weights, gradients, moments, caches, and the largest Program's tensors
	Seconds float64 // 0 without a peak
}

// NewPlan estimates a run before anything runs. FLOPs are counts of the
// Programs that the stages run, times how often they run; how often follows
// from the configuration and, where it hangs on data, from sizes that are
// assumed. Time is FLOPs by an assumed share of peak, the machine's measured
// FLOP/s; 0 leaves the times out.
func NewPlan(c Config, peak float64) (*Plan, error) {
	e := &estimator{config: c, peak: peak}
	if err := e.prepare(); err != nil {
		return nil, fmt.Errorf("estimating the run: %w", err)
	}
	p := &Plan{Parameters: e.lm.model.ParameterCount(), Peak: peak}
	for _, s := range stageTexts {
		p.Stages = append(p.Stages, e.stage(s.name))
	}
	return p, nil
}

// estimator holds the Programs of the stages, counted and not compiled.
type estimator struct {
	config Config
	peak   float64

	lm     counted // pretraining, SFT, PPO's mix
	policy counted // PPO's policy
	scalar counted // reward model, PPO's critic
	writer counted // what samples

	text                      *train.LanguageModel // of pretraining
	dialogues                 *train.LanguageModel
	mix                       *train.LanguageModel
	update, scalarUpdate      int64 // FLOPs of an optimizer step
	prefill, decode           float64
	score                     float64 // FLOPs of a row of the scalar model, forward only
	scalarStep                float64 // of a row of reward training
	policyForward, policyStep float64 // of a micro-batch of PPO
	criticForward, criticStep float64
	rowTokens, ppoRows        float64
}

// counted is a model on an engine that counts.
type counted struct {
	model  *model.Model
	engine *counter
}

func (e *estimator) newCounted(head model.Head) (counted, error) {
	// The architecture asks a tokenizer for its special tokens, which any has.
	least, _, err := tokenizer.Train(context.Background(), func(yield func(string, error) bool) { yield("a", nil) }, tokenizer.Options{VocabSize: leastVocabulary})
	if err != nil {
		return counted{}, err
	}
	c, err := e.config.Pretrain.Model(least)
	if err != nil {
		return counted{}, err
	}
	c.Vocabulary, c.Head = e.config.Tokenizer.Vocabulary, head
	engine := &counter{}
	m := &model.Model{Config: c, Engine: engine, Store: engine.NewStore()}
	for _, p := range c.Parameters() {
		if err := m.Store.Define(p.Name, p.Shape...); err != nil {
			return counted{}, err
		}
	}
	return counted{m, engine}, nil
}

func (e *estimator) prepare() error {
	c := e.config
	var err error
	for _, x := range []struct {
		into *counted
		head model.Head
	}{{&e.lm, model.LanguageModel}, {&e.policy, model.LanguageModel}, {&e.writer, model.LanguageModel}, {&e.scalar, model.Scalar}} {
		if *x.into, err = e.newCounted(x.head); err != nil {
			return err
		}
	}
	context := c.Pretrain.Context
	length := func(own int) int {
		if own > 0 {
			return own
		}
		return context
	}
	if e.text, err = train.NewLanguageModel(e.lm.model, c.Pretrain.MicroRows, context); err != nil {
		return err
	}
	if e.dialogues, err = train.NewLanguageModel(e.lm.model, c.SFT.MicroRows, length(c.SFT.Context)); err != nil {
		return err
	}
	if e.mix, err = train.NewLanguageModel(e.policy.model, c.PPO.PretrainRows, context); err != nil {
		return err
	}
	optimizer, err := train.NewOptimizer(e.lm.model, c.Pretrain.AdamW())
	if err != nil {
		return err
	}
	e.update = optimizer.FLOPs()

	// Rows of packed texts through the scalar model, forward and with gradients.
	rows, t := c.Reward.MicroRows, length(c.Reward.Context)
	everywhere := func(p *compute.Program, m *model.Model, hidden *compute.Tensor) *compute.Tensor {
		return m.Score(p, hidden)
	}
	e.score = e.scalar.forward(rows, t, everywhere) / float64(rows)
	if e.scalarStep, err = e.scalar.step(rows, t, everywhere); err != nil {
		return err
	}
	e.scalarStep /= float64(rows)
	if optimizer, err = train.NewOptimizer(e.scalar.model, c.Reward.AdamW()); err != nil {
		return err
	}
	e.scalarUpdate = optimizer.FLOPs()

	// PPO's micro-batches. The clipped losses are a few operations for each
	// response token and are not counted.
	rows, t = c.PPO.MicroRows, length(c.PPO.Context)
	logProb := func(p *compute.Program, m *model.Model, hidden *compute.Tensor) *compute.Tensor {
		out, _ := compute.TokenLogProb(hidden, m.HeadWeight(p), p.Input("responses", compute.Int32, rows, t), true, float32(c.PPO.Temperature))
		return out
	}
	e.policyForward = e.policy.forward(rows, t, logProb)
	e.criticForward = e.scalar.forward(rows, t, everywhere)
	if e.policyStep, err = e.policy.step(rows, t, logProb); err != nil {
		return err
	}
	if e.criticStep, err = e.scalar.step(rows, t, everywhere); err != nil {
		return err
	}
	// The head works on the responses alone.
	head, prompts := train.HeadFLOPsOf(e.policy.model.Config), int(float64(rows*t)*assumedPrompt/(assumedPrompt+assumedAnswer))
	e.policyForward -= float64(head.Skipped(prompts, false))
	e.policyStep -= float64(head.Skipped(prompts, true))
	e.ppoRows = float64(rows)

	slots := c.Rankings.Slots
	if _, err := generate.New(e.writer.model, slots, min(context, c.Dialogues.MaxPrompt+c.Dialogues.MaxAnswer)); err != nil {
		return err
	}
	e.prefill, e.decode = e.writer.engine.flops[0]/prefillTokens/assumedReading, e.writer.engine.flops[1]/float64(slots)/assumedFill
	e.rowTokens = float64(t)
	return nil
}

// forward counts a forward pass of b rows of t tokens.
func (m counted) forward(b, t int, head func(*compute.Program, *model.Model, *compute.Tensor) *compute.Tensor) float64 {
	p := compute.NewProgram("forward")
	p.Output("out", head(p, m.model, m.model.Hidden(p, m.model.NewBatch(p, b, t))))
	return float64(p.FLOPs())
}

// step counts a forward and backward pass, whose gradients the Store then has.
func (m counted) step(b, t int, head func(*compute.Program, *model.Model, *compute.Tensor) *compute.Tensor) (float64, error) {
	p := compute.NewProgram("step")
	loss := compute.Sum(head(p, m.model, m.model.Hidden(p, m.model.NewBatch(p, b, t))))
	p.Output("loss", loss)
	if err := train.Backward(p, m.model, loss); err != nil {
		return 0, err
	}
	if _, err := m.engine.Compile(p, m.model.Store); err != nil {
		return 0, err
	}
	return m.engine.last(), nil
}

// written counts n answers to n prompts.
func (e *estimator) written(n float64) (tokens, flops float64) {
	// Prompts are read in chunks of 32 tokens, the last one of each padded.
	const read = 64.0
	return n * (assumedPrompt + assumedAnswer), n * (read*e.prefill + assumedAnswer*e.decode)
}

// packed is the number of rows that hold n texts.
func (e *estimator) packed(n float64) float64 {
	return n * (assumedPrompt + assumedAnswer) / (e.rowTokens * assumedPacking)
}

// stage estimates one stage. The memory is that of the models it holds.
func (e *estimator) stage(name string) PlannedStage {
	c := e.config
	s := PlannedStage{Name: name}
	var tokens, trained, sampled float64 // FLOPs by the share of the peak that they reach
	switch name {
	case "corpus", "tokenizer", "dialogues":
		if e.peak > 0 {
			s.Seconds = secondsOfCorpus / 3
		}
		return s
	case "pretrain":
		s.Steps = int64(c.Pretrain.Steps)
		tokens = float64(s.Steps * int64(c.Pretrain.BatchTokens))
		perTokens := float64(c.Pretrain.MicroRows * c.Pretrain.Context)
		evaluations := float64(c.Pretrain.Steps/c.Pretrain.EvalEvery)*float64(c.Pretrain.EvalRows*c.Pretrain.Context) + assumedValidation
		trained = tokens/perTokens*float64(e.text.FLOPs()) + float64(s.Steps)*float64(e.update) + evaluations/perTokens*float64(e.text.ForwardFLOPs())
		s.Memory = e.lm.memory()
	case "sft":
		rows := c.SFT.Epochs * e.packed(assumedFunctions)
		s.Steps = int64(rows / float64(c.SFT.BatchRows))
		tokens = rows * e.rowTokens * assumedPacking
		trained = rows/float64(c.SFT.MicroRows)*float64(e.dialogues.FLOPs()) + float64(s.Steps)*float64(e.update)
		s.Memory = e.lm.memory()
	case "rankings":
		tokens, sampled = e.written(float64((c.Rankings.Prompts + c.Rankings.Validation) * c.Rankings.K))
		s.Memory = e.writer.memory()
	case "reward":
		texts := c.Reward.Epochs * float64(c.Rankings.Prompts*c.Rankings.K)
		s.Steps = int64(c.Reward.Epochs * float64(c.Rankings.Prompts) / float64(c.Reward.BatchPrompts))
		tokens = texts * (assumedPrompt + assumedAnswer)
		measured := float64(s.Steps)/float64(c.Reward.EvalEvery) + 2
		scored := assumedDemos*2 + measured*float64(c.Rankings.Validation*c.Rankings.K)
		trained = e.packed(texts)*e.scalarStep + e.packed(scored)*e.score + float64(s.Steps)*float64(e.scalarUpdate)
		s.Memory = e.scalar.memory()
	case "ppo":
		minibatches := c.PPO.Epochs * ((c.PPO.Prompts + c.PPO.Minibatch - 1) / c.PPO.Minibatch)
		s.Steps = int64(c.PPO.Iterations * minibatches)
		episodes := float64(c.PPO.Iterations * c.PPO.Prompts)
		tokens, sampled = e.written(episodes)
		// A micro-batch that is not full costs as much as one that is.
		perMinibatch := float64(int(e.packed(float64(c.PPO.Minibatch))/e.ppoRows) + 1)
		perRollout := float64(int(e.packed(float64(c.PPO.Prompts))/e.ppoRows) + 1)
		trained = float64(s.Steps)*(perMinibatch*(e.policyStep+e.criticStep)+float64(e.update)+float64(e.scalarUpdate)) +
			float64(c.PPO.Iterations)*perRollout*(2*e.policyForward+e.criticForward) + e.packed(episodes)*e.score
		if c.PPO.PretrainCoef > 0 {
			trained += float64(s.Steps) * float64(e.mix.FLOPs())
			tokens += float64(s.Steps) * float64(c.PPO.PretrainRows*c.Pretrain.Context)
		}
		weights := 4 * e.lm.model.ParameterCount()
		s.Memory = e.policy.memory() + e.scalar.memory() + 2*weights // and the reference and the reward model
	case "evaluate":
		n := float64(assumedHeldOut)
		if c.Evaluate.Prompts > 0 {
			n = min(n, float64(c.Evaluate.Prompts))
		}
		tokens, sampled = e.written(n * float64(4+c.Evaluate.BestOf))
		texts := n*float64(5+c.Evaluate.BestOf) + float64(c.Rankings.Validation*c.Rankings.K)
		perTokens := float64(c.Pretrain.MicroRows * c.Pretrain.Context)
		forward := 2 * (assumedValidation + n*(assumedPrompt+assumedAnswer))
		trained = e.packed(texts)*e.score + forward/perTokens*float64(e.text.ForwardFLOPs())
		s.Memory = 2*e.writer.memory() + e.scalar.memory()
	}
	s.Tokens, s.FLOPs = int64(tokens), trained+sampled
	if e.peak > 0 {
		s.Seconds = trained/(e.peak*shareWhileTraining) + sampled/(e.peak*shareWhileWriting)
	}
	return s
}

// memory is what the model's Store and its largest Program take, in bytes.
func (m counted) memory() int64 {
	n := m.engine.tensors
	for _, name := range m.model.Store.Names() {
		shape, _ := m.model.Store.Shape(name)
		n += 4 * int64(shape.Size())
	}
	return n
}

// counter is an engine that counts Programs and runs none.
type counter struct {
	flops   []float64 // of each Program, in the order in which they were compiled
	tensors int64     // bytes of the Program whose tensors take the most at one time
}

// last is the count of the Program compiled last.
func (c *counter) last() float64 { return c.flops[len(c.flops)-1] }

// Name implements compute.Engine.
func (c *counter) Name() string { return "counter" }

// NewStore implements compute.Engine.
func (c *counter) NewStore() compute.Store { return &shapes{of: map[string]compute.Shape{}} }

// Compile implements compute.Engine.
func (c *counter) Compile(p *compute.Program, _ compute.Store) (compute.Executable, error) {
	c.flops = append(c.flops, float64(p.FLOPs()))
	c.tensors = max(c.tensors, tensors(p))
	return countedProgram{p.FLOPs()}, nil
}

// tensors is the most that a Program's tensors take at one time when each is
// given up after its last use, in bytes. Variables lie in the Store.
func tensors(p *compute.Program) int64 {
	nodes := p.Live()
	lastUse := map[*compute.Tensor]int{}
	for i, n := range nodes {
		for _, in := range n.Inputs {
			lastUse[in] = i
		}
	}
	for _, o := range p.Outputs {
		lastUse[o.Tensor] = len(nodes)
	}
	for _, u := range p.Updates {
		lastUse[u.Value] = len(nodes)
	}
	ends := make([]int64, len(nodes)+1)
	var now, most int64
	for i, n := range nodes {
		if source, ok := n.Op.(compute.Source); ok && source.Variable {
			continue
		}
		for _, out := range n.Outputs {
			size := 4 * int64(out.Shape.Size())
			now += size
			ends[max(i, lastUse[out])] += size
		}
		most = max(most, now)
		now -= ends[i]
	}
	return most
}

// countedProgram is a Program that has only its count.
type countedProgram struct{ flops int64 }

func (countedProgram) Floats(string) []float32 { return nil }
func (countedProgram) Ints(string) []int32     { return nil }
func (countedProgram) Run() error              { return errors.New("running a program that was only counted") }
func (p countedProgram) FLOPs() int64          { return p.flops }

// shapes is a Store without numbers.
type shapes struct {
	of    map[string]compute.Shape
	names []string
}

// Define implements compute.Store.
func (s *shapes) Define(name string, shape ...int) error {
	if old, ok := s.of[name]; ok {
		if !old.Equal(shape) {
			return fmt.Errorf("defining %s as %v: it is %v already", name, shape, old)
		}
		return nil
	}
	s.of[name] = shape
	s.names = append(s.names, name)
	return nil
}

// Shape implements compute.Store.
func (s *shapes) Shape(name string) (compute.Shape, bool) {
	shape, ok := s.of[name]
	return shape, ok
}

// Names implements compute.Store.
func (s *shapes) Names() []string { return s.names }

// Read implements compute.Store.
func (s *shapes) Read(string, []float32) error {
	return errors.New("reading from a store without numbers")
}

// Write implements compute.Store. Numbers are not kept: nothing reads them.
func (s *shapes) Write(name string, _ []float32) error {
	if _, ok := s.of[name]; !ok {
		return fmt.Errorf("writing %s: it is not defined", name)
	}
	return nil
}

// Print writes the plan as a table, and what it rests on.
func (p *Plan) Print(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s parameters\n\n", progress.Count(p.Parameters))
	fmt.Fprintf(out, "%-10s %8s %13s %10s %9s %8s\n", "stage", "steps", "tokens", "FLOP", "memory", "time")
	row := func(s PlannedStage) {
		cells := []string{"–", "–", "–", "–", "–"}
		if s.Steps > 0 {
			cells[0] = progress.Count(s.Steps)
		}
		if s.Tokens > 0 {
			cells[1] = progress.Count(s.Tokens)
		}
		if s.FLOPs > 0 {
			cells[2] = progress.Scientific(s.FLOPs)
		}
		if s.Memory > 0 {
			cells[3] = progress.Bytes(s.Memory)
		}
		if s.Seconds > 0 {
			cells[4] = span(s.Seconds)
		}
		fmt.Fprintf(out, "%-10s %8s %13s %10s %9s %8s\n", s.Name, cells[0], cells[1], cells[2], cells[3], cells[4])
	}
	all := PlannedStage{Name: "all"}
	for _, s := range p.Stages {
		row(s)
		all.Tokens += s.Tokens
		all.FLOPs += s.FLOPs
		all.Seconds += s.Seconds
		all.Memory = max(all.Memory, s.Memory)
	}
	row(all)
	fmt.Fprintf(out, `
FLOPs are counted from the programs that the stages run. How often they run is
assumed where it hangs on data that has not been read: %s dialogues of %.0f + %.0f
tokens, %s held-out functions. Memory is that of weights, gradients, moments,
caches and tensors; the program itself and its text come on top.
`, progress.Count(assumedFunctions), assumedPrompt, assumedAnswer, progress.Count(assumedHeldOut))
	if p.Peak > 0 {
		fmt.Fprintf(out, "Time assumes %.0f %% of this machine's measured peak of %.0f GFLOP/s while training, %.0f %%\nwhile sampling, and %.0f s for reading and tokenising Go's source.\n",
			100*shareWhileTraining, p.Peak/1e9, 100*shareWhileWriting, secondsOfCorpus)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the plan: %w", err)
	}
	return nil
}
