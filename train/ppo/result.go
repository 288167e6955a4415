package ppo

import (
	"fmt"
	"maps"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stats"
)

// result fills in what came out, with intervals: the scores of the last rollout beside
// those of the first, its KL, its lengths. What a minibatch told last says little.
func (r *run) result(m *artifact.Manifest) {
	last := r.rollout.Sequences
	if len(last) == 0 {
		return
	}
	kls := make([]float64, len(last))
	length, ended := 0.0, 0.0
	for i, s := range last {
		kls[i] = s.KL
		length += float64(len(s.Response))
		if s.Ended {
			ended++
		}
	}
	score, kl := stats.MeanInterval(scores(last)), stats.MeanInterval(kls)
	maps.Copy(m.Metrics, artifact.Metrics{
		"objective/scores": score.Value, "objective/kl": kl.Value,
		"response_length/mean": length / float64(len(last)), "ended": ended / float64(len(last)),
	})
	if score.N > 1 { // else there is no interval
		m.Metrics["objective/scores/low"], m.Metrics["objective/scores/high"] = score.Low, score.High
		m.Metrics["objective/kl/low"], m.Metrics["objective/kl/high"] = kl.Low, kl.High
	}
	text := fmt.Sprintf("The mean score of the last rollout's %s responses is %s, and they are %s nats from where the policy began", progress.Count(int64(len(last))), score, kl)
	if len(r.rollout.First) > 0 {
		before := stats.MeanInterval(r.rollout.First)
		m.Metrics["objective/scores_before"] = before.Value
		text += fmt.Sprintf("; the first rollout's was %s", before)
	}
	m.Notes = append(m.Notes, text+". The score is what was trained for, on prompts that were trained on: alma eval models tells on others whether people would agree.")
}

// scores are those of responses.
func scores(sequences []*sequence) []float64 {
	out := make([]float64, len(sequences))
	for i, s := range sequences {
		out[i] = float64(s.Score)
	}
	return out
}
