// Package preference is what says how good an answer is: a reward model (Scorer for
// tokens, RewardModel for text), a program of the user's, or a rule that stands in
// for people.
package preference
