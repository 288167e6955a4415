package evaluate

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/stats"
)

// EvaluationFile is the stage's file.
const EvaluationFile = "evaluation.json"

// Evaluation is what was measured of several models.
type Evaluation struct {
	Prompts int           `json:"prompts"` // that every model answered
	Models  []ModelResult `json:"models"`  // the first is what the others are held against
	// People are the answers that people gave to the same prompts, as far as there
	// are any.
	People *AnswersResult `json:"people,omitempty"`
	// RewardRankings is how far the reward model foretells the rankings.
	RewardRankings *RankingsResult `json:"reward_rankings,omitempty"`
	Samples        []Sample        `json:"samples,omitempty"`
	Notes          []string        `json:"notes,omitempty"` // what was left out, and why
	// Rejected are rows of the inputs that could not be used.
	Rejected []artifact.Rejected `json:"rejected,omitempty"`
}

// ModelResult is what was measured of one model. What could not be is nil.
type ModelResult struct {
	Name     string           `json:"name"`
	Text     *TextResult      `json:"text,omitempty"`
	Rankings *RankingsResult  `json:"rankings,omitempty"`
	Answers  []*AnswersResult `json:"answers,omitempty"` // one for each temperature
	// KL is the divergence from the first model, in nats a response.
	KL *stats.Estimate `json:"kl,omitempty"`
}

// RankingsResult is the share of the pairs of held-out rankings whose order is
// foretold. The intervals are over prompts.
type RankingsResult struct {
	Prompts int `json:"prompts"`
	Pairs   int `json:"pairs"`
	// Accuracy is that of a completion's log-likelihood, or of its reward.
	Accuracy stats.Estimate `json:"accuracy"`
	// PerByte is that of the log-likelihood divided by the completion's bytes,
	// which does not prefer short ones.
	PerByte *stats.Estimate `json:"per_byte,omitempty"`
	// Implicit is that of log π/π₀, what direct preference optimization takes for
	// the reward (Rafailov et al. 2023).
	Implicit *stats.Estimate `json:"implicit,omitempty"`
}

// AnswersResult is the means over the answers of a system to the prompts.
type AnswersResult struct {
	Temperature float64          `json:"temperature"` // 0 of people
	Prompts     int              `json:"prompts"`
	Ended       stats.Estimate   `json:"ended"`            // share that ends by itself
	Words       stats.Estimate   `json:"words"`            // prefill left out; stats.Words
	Tokens      *stats.Estimate  `json:"tokens,omitempty"` // of the model, end token included
	Openings    float64          `json:"openings"`         // distinct three-word openings by answers
	Judged      map[string]Judge `json:"judged,omitempty"` // by "reward" and "rule"
}

// Judge is what a judge makes of a system's answers.
type Judge struct {
	Name  string         `json:"name"`  // of the judge
	Score stats.Estimate `json:"score"` // mean
	// First is against the first model at the same temperature, People against
	// people's answers.
	First  *Versus `json:"first,omitempty"`
	People *Versus `json:"people,omitempty"`
}

// Versus is a system against another on the same prompts.
type Versus struct {
	Wins       stats.HeadToHead `json:"wins"`
	Difference stats.Estimate   `json:"difference"` // of the scores
}

// Sample is a prompt with all answers to it.
type Sample struct {
	Prompt    string         `json:"prompt"` // its last message
	Prefill   string         `json:"prefill,omitempty"`
	Reference string         `json:"reference,omitempty"` // people's answer
	Answers   []SampleAnswer `json:"answers"`
}

// SampleAnswer is one system's answer.
type SampleAnswer struct {
	Model       string   `json:"model"`
	Temperature float64  `json:"temperature"`
	Text        string   `json:"text"` // after the prefill
	Ended       bool     `json:"ended"`
	Reward      *float64 `json:"reward,omitempty"`
}

// The judges by their keys in AnswersResult.Judged, and how metrics call them.
const (
	byReward = "reward"
	byRule   = "rule"
)

var judges = []string{byReward, byRule}

// Metrics are the figures by flat names, against which a recipe holds thresholds:
// NAME/FIGURE, with /low and /high for the ends of its interval, and _tTEMPERATURE
// before those for all but the first temperature (docs/formats/evaluation.md).
func (e Evaluation) Metrics() artifact.Metrics {
	m := artifact.Metrics{"prompts": float64(e.Prompts)}
	put := func(name string, x stats.Estimate) {
		if math.IsNaN(x.Value) {
			return
		}
		m[name] = x.Value
		if !math.IsInf(x.Low, 0) && !math.IsInf(x.High, 0) {
			m[name+"/low"], m[name+"/high"] = x.Low, x.High
		}
	}
	answers := func(name, suffix string, a *AnswersResult) {
		put(name+"/ended"+suffix, a.Ended)
		put(name+"/words"+suffix, a.Words)
		m[name+"/openings"+suffix] = a.Openings
		if a.Tokens != nil {
			put(name+"/tokens"+suffix, *a.Tokens)
		}
		for by, wins := range map[string]string{byReward: "", byRule: "rule_"} {
			j, ok := a.Judged[by]
			if !ok {
				continue
			}
			put(name+"/"+by+suffix, j.Score)
			if j.First != nil {
				put(name+"/"+wins+"win_rate"+suffix, j.First.Wins.Rate)
				put(name+"/"+by+"_gain"+suffix, j.First.Difference)
			}
			if j.People != nil {
				put(name+"/"+wins+"win_rate_people"+suffix, j.People.Wins.Rate)
			}
		}
	}
	rankings := func(name string, r *RankingsResult) {
		if r == nil {
			return
		}
		put(name+"/rankings", r.Accuracy)
		if r.PerByte != nil {
			put(name+"/rankings_per_byte", *r.PerByte)
		}
		if r.Implicit != nil {
			put(name+"/rankings_implicit", *r.Implicit)
		}
	}
	for _, r := range e.Models {
		if t := r.Text; t != nil {
			put(r.Name+"/bits_per_byte", t.BitsPerByte)
			put(r.Name+"/perplexity", t.Perplexity)
			put(r.Name+"/loss", t.Loss)
		}
		for i, a := range r.Answers {
			suffix := ""
			if i > 0 {
				suffix = fmt.Sprintf("_t%g", a.Temperature)
			}
			answers(r.Name, suffix, a)
		}
		if r.KL != nil {
			put(r.Name+"/kl", *r.KL)
		}
		rankings(r.Name, r.Rankings)
	}
	if e.People != nil {
		answers(People, "", e.People)
	}
	rankings(RewardModel, e.RewardRankings)
	return m
}

// ReadEvaluation reads what the stage wrote.
func ReadEvaluation(folder string) (e Evaluation, err error) {
	path := filepath.Join(folder, EvaluationFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return e, fmt.Errorf("reading the evaluation: %w", err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	return e, nil
}

// number writes a figure with its interval.
func number(x stats.Estimate, digits int) string {
	if math.IsNaN(x.Value) {
		return "–"
	}
	if math.IsInf(x.Low, 0) || math.IsInf(x.High, 0) {
		return fmt.Sprintf("%.*f", digits, x.Value)
	}
	return fmt.Sprintf("%.*f [%.*f, %.*f]", digits, x.Value, digits, x.Low, digits, x.High)
}

func optional(x *stats.Estimate, digits int) string {
	if x == nil {
		return "–"
	}
	return number(*x, digits)
}

// Tables draw the figures.
func (e Evaluation) Tables() []stage.Table {
	var out []stage.Table
	add := func(t stage.Table) {
		if len(t.Rows) > 0 {
			out = append(out, t)
		}
	}
	text := stage.Table{Title: "On the text", Columns: []string{"Model", "bits per byte", "perplexity", "tokens"}}
	divergence := stage.Table{Title: "Divergence from the first model", Columns: []string{"Model", "KL, nats a response"}, Note: "The mean of log π/π₀ over the model's own answers at temperature 1."}
	rankings := stage.Table{Title: "Held-out rankings foretold", Columns: []string{"By", "pairs", "log-likelihood or reward", "log-likelihood a byte", "log π/π₀"}, Note: "Share of the pairs; chance is 0.500."}
	if r := e.RewardRankings; r != nil {
		rankings.Rows = append(rankings.Rows, []string{"reward model", progress.Count(int64(r.Pairs)), number(r.Accuracy, 3), "–", "–"})
	}
	for _, m := range e.Models {
		if t := m.Text; t != nil {
			text.Rows = append(text.Rows, []string{m.Name, number(t.BitsPerByte, 4), number(t.Perplexity, 3), progress.Count(t.Tokens)})
			text.Note = fmt.Sprintf("Windows of %d tokens; ", t.Context)
			if t.Method == Halves {
				text.Note += "the second half of each is scored, as llama.cpp does."
			} else {
				text.Note += fmt.Sprintf("every token but the first is scored once, %d a window.", t.Stride)
			}
		}
		if m.KL != nil {
			divergence.Rows = append(divergence.Rows, []string{m.Name, number(*m.KL, 3)})
		}
		if r := m.Rankings; r != nil {
			rankings.Rows = append(rankings.Rows, []string{m.Name, progress.Count(int64(r.Pairs)), number(r.Accuracy, 3), optional(r.PerByte, 3), optional(r.Implicit, 3)})
		}
	}
	add(text)
	for _, t := range e.answersTables() {
		add(t)
	}
	add(divergence)
	add(rankings)
	return out
}

// temperatures are those at which the models answered.
func (e Evaluation) temperatures() (out []float64) {
	if len(e.Models) > 0 {
		for _, a := range e.Models[0].Answers {
			out = append(out, a.Temperature)
		}
	}
	return out
}

// judgeName tells what a judge is, "" where none judged by that key.
func (e Evaluation) judgeName(by string) string {
	for _, m := range e.Models {
		for _, a := range m.Answers {
			if j, ok := a.Judged[by]; ok {
				return j.Name
			}
		}
	}
	return ""
}

func (e Evaluation) answersTables() (out []stage.Table) {
	for i, temperature := range e.temperatures() {
		t := stage.Table{
			Title:   fmt.Sprintf("Answers at temperature %g", temperature),
			Columns: []string{"Model", "end by themselves", "words", "tokens", "distinct openings"},
			Note:    fmt.Sprintf("%s prompts, one answer each.", progress.Count(int64(e.Prompts))),
		}
		against := stage.Table{
			Title:   fmt.Sprintf("Wins at temperature %g", temperature),
			Columns: []string{"Model", "against", "judge", "won", "tied", "lost", "win rate", "difference"},
			Note:    "A tie is half a win.",
		}
		for _, by := range judges {
			if e.judgeName(by) != "" {
				t.Columns = append(t.Columns, e.judgeName(by))
			}
		}
		row := func(name string, a *AnswersResult) {
			cells := []string{name, number(a.Ended, 3), number(a.Words, 1), optional(a.Tokens, 1), fmt.Sprintf("%.2f", a.Openings)}
			for _, by := range judges {
				j, ok := a.Judged[by]
				if !ok {
					continue
				}
				cells = append(cells, number(j.Score, 3))
				for _, x := range []struct {
					name string
					c    *Versus
				}{{e.Models[0].Name, j.First}, {People, j.People}} {
					if x.c != nil {
						w := x.c.Wins
						against.Rows = append(against.Rows, []string{name, x.name, j.Name, progress.Count(int64(w.Wins)), progress.Count(int64(w.Ties)), progress.Count(int64(w.Losses)), number(w.Rate, 3), number(x.c.Difference, 3)})
					}
				}
			}
			t.Rows = append(t.Rows, cells)
		}
		if e.People != nil {
			row(People, e.People)
		}
		for _, m := range e.Models {
			row(m.Name, m.Answers[i])
		}
		out = append(out, t, against)
	}
	return out
}

// Shown are the answers to the same prompts, side by side for the report.
func (e Evaluation) Shown() stage.Samples {
	out := stage.Samples{Note: "Prompts drawn by the seed, evenly spaced and not chosen by what was written. The score is the reward model's, where there is one; […] marks an answer that was cut off."}
	if len(e.Samples) == 0 {
		return stage.Samples{}
	}
	for _, s := range e.Samples {
		pair := stage.Sample{Prompt: s.Prompt}
		if s.Reference != "" {
			pair.Reference = s.Prefill + s.Reference
		}
		for _, a := range s.Answers {
			text := s.Prefill + a.Text
			if !a.Ended {
				text += " […]"
			}
			answer := stage.Answer{Model: fmt.Sprintf("%s, temperature %g", a.Model, a.Temperature), Text: text, Unscored: a.Reward == nil}
			if a.Reward != nil {
				answer.Score = *a.Reward
			}
			pair.Answers = append(pair.Answers, answer)
		}
		out.Pairs = append(out.Pairs, pair)
	}
	return out
}
