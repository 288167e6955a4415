package classify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/stats"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Examples are texts as tokens, with their classes.
type Examples struct {
	Tokens  [][]int32
	Classes []int   // [N], indices into the labels; nil where texts have several
	Sets    [][]int // [N], indices of a text's labels; nil where each has one
	Lines   []int   // [N], of the file
	Cut     int     // texts that were longer than the limit
}

// Several tells whether some text has a list of labels: then each may have several, or
// none, and one that has a label alone has a list of one.
func Several(texts []dataset.Text) bool {
	return slices.ContainsFunc(texts, func(t dataset.Text) bool { return t.Labels != nil })
}

// Labels lists the labels of texts: by size where all are whole numbers, else
// in the order of their bytes.
func Labels(texts []dataset.Text) []string {
	seen := make(map[string]bool)
	var labels []string
	for _, t := range texts {
		for _, label := range t.Given() {
			if !seen[label] {
				seen[label] = true
				labels = append(labels, label)
			}
		}
	}
	slices.Sort(labels)
	numbers := make(map[string]int)
	for _, label := range labels {
		n, err := strconv.Atoi(label)
		if err != nil {
			return labels
		}
		numbers[label] = n
	}
	slices.SortStableFunc(labels, func(a, b string) int { return numbers[a] - numbers[b] })
	return labels
}

// ClassesOf returns the class of each text, an index into the labels. A label
// that is none of them is an error that names it, the file and the line; so is a list
// of labels.
func ClassesOf(path string, texts []dataset.Text, labels []string) ([]int, error) {
	for _, t := range texts {
		if t.Labels != nil {
			return nil, artifact.Errorf(artifact.ErrUsage, "reading texts %s:%d: the text has a list of labels, and the model chooses one class; give it one label, or a model that was trained with lists", path, t.Line)
		}
	}
	sets, err := SetsOf(path, texts, labels)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(sets))
	for i, set := range sets {
		out[i] = set[0]
	}
	return out, nil
}

// SetsOf returns the labels of each text [N], indices into the labels in their order. A
// label that is none of them is an error that names it, the file and the line.
func SetsOf(path string, texts []dataset.Text, labels []string) ([][]int, error) {
	classes := make(map[string]int, len(labels))
	for i, label := range labels {
		classes[label] = i
	}
	out := make([][]int, len(texts))
	for i, t := range texts {
		out[i] = []int{}
		for _, label := range t.Given() {
			class, ok := classes[label]
			if !ok {
				return nil, artifact.Errorf(artifact.ErrUsage, "reading texts %s:%d: label %q is not one that the model learns or knows: %s", path, t.Line, label, quoted(labels))
			}
			out[i] = append(out[i], class)
		}
		slices.Sort(out[i])
	}
	return out, nil
}

// Encode makes examples of labelled texts, cut to at most limit tokens; several says
// that a text may have several labels.
func Encode(tok *tokenizer.Tokenizer, path string, texts []dataset.Text, labels []string, several bool, limit int) (e Examples, err error) {
	if several {
		e.Sets, err = SetsOf(path, texts, labels)
	} else {
		e.Classes, err = ClassesOf(path, texts, labels)
	}
	if err != nil {
		return e, err
	}
	for _, t := range texts {
		ids, cut, err := dataset.EncodeText(tok, t.Text, limit)
		if err != nil {
			return e, artifact.Errorf(artifact.ErrUsage, "reading texts %s:%d: %w", path, t.Line, err)
		}
		if cut {
			e.Cut++
		}
		e.Tokens, e.Lines = append(e.Tokens, ids), append(e.Lines, t.Line)
	}
	return e, nil
}

// maxQuoted is how many labels an error lists.
const maxQuoted = 12

func quoted(labels []string) string {
	var b strings.Builder
	for i, label := range labels {
		if i == maxQuoted {
			return b.String() + ", and " + strconv.Itoa(len(labels)-i) + " more"
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(label))
	}
	return b.String()
}

// holdOut splits off a share of the texts by a hash of each, so that equal texts
// stay together and the split is the same for every seed.
func holdOut(texts []dataset.Text, share float64) (learned, held []dataset.Text) {
	stream := compute.Stream("classify/held out")
	for _, t := range texts {
		if compute.Uniform(0, stream, compute.Stream(t.Text)) < share {
			held = append(held, t)
		} else {
			learned = append(learned, t)
		}
	}
	return learned, held
}

// counts counts the examples of each of k classes.
func (e Examples) counts(k int) []int {
	n := make([]int, k)
	for _, class := range e.Classes {
		n[class]++
	}
	return n
}

// weights returns what a text of each class counts in the loss, 1 on average.
func (c Config) weights(e Examples, k int) []float64 {
	if c.ClassWeights == "balanced" {
		return stats.BalancedWeights(e.counts(k))
	}
	weights := make([]float64, k)
	for i := range weights {
		weights[i] = 1
	}
	return weights
}

// stepPlan is a step: texts in packed rows, indices into the examples.
type stepPlan struct{ rows [][]int }

// plan lists the steps: whole epochs in orders of their own, one after the
// other, and the share of a last one. Short texts share a row, each a segment
// that sees itself alone, so that little of a row is padding.
func plan(e Examples, c Config, length int) ([]stepPlan, error) {
	var steps []stepPlan
	for epoch := 0; float64(epoch) < c.Epochs; epoch++ {
		order := compute.Permutation(c.Seed, compute.Stream("classify texts")+uint64(epoch), len(e.Tokens))
		if share := c.Epochs - float64(epoch); share < 1 {
			order = order[:max(1, int(share*float64(len(order))))]
		}
		for at := 0; at < len(order); at += c.BatchTexts {
			batch := order[at:min(at+c.BatchTexts, len(order))]
			rows, err := packTexts(e.Tokens, batch, length)
			if err != nil {
				return nil, err
			}
			steps = append(steps, stepPlan{rows})
		}
	}
	return steps, nil
}

// padding is the share of the steps' rows that holds no text.
func padding(steps []stepPlan, e Examples, length int) float64 {
	texts, rows := 0, 0
	for _, s := range steps {
		rows += len(s.rows)
		for _, row := range s.rows {
			for _, i := range row {
				texts += len(e.Tokens[i])
			}
		}
	}
	return 1 - float64(texts)/float64(rows*length)
}

// packTexts puts some of the texts into rows of length tokens.
func packTexts(texts [][]int32, which []int, length int) ([][]int, error) {
	lengths := make([]int, len(which))
	for i, x := range which {
		lengths[i] = len(texts[x])
	}
	rows, err := dataset.Pack(lengths, length)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		for i := range row {
			row[i] = which[row[i]]
		}
	}
	return rows, nil
}

// RowLength is the tokens of a packed row for texts: as the longest needs, at
// least some texts' worth, at most the context.
func RowLength(context int, texts ...[][]int32) int {
	const step, least = 16, 64
	longest := least
	for _, all := range texts {
		for _, text := range all {
			longest = max(longest, len(text))
		}
	}
	return min(context, (longest+step-1)/step*step)
}
