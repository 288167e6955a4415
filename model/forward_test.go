package model

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// text draws tokens.
func text(n, vocabulary int, seed uint64) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(compute.Bits(seed, 0, uint64(i)) % uint64(vocabulary))
	}
	return out
}

// laidOut gives the logits of each text in a batch of b rows of t positions,
// in which rows[i] lists the texts of row i.
func laidOut(t testing.TB, m *Model, b, length int, rows [][]int, texts [][]int32) [][]float32 {
	t.Helper()
	p := compute.NewProgram("logits")
	p.Output("logits", m.Logits(p, m.Hidden(p, m.NewBatch(p, b, length))))
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	tokens, positions, segments := x.Ints("tokens"), x.Ints("positions"), x.Ints("segments")
	for i := range segments {
		segments[i], tokens[i] = -1, 3
	}
	starts := make([]int, len(texts))
	for r, row := range rows {
		at := r * length
		for segment, i := range row {
			starts[i] = at
			for j, token := range texts[i] {
				tokens[at], positions[at], segments[at] = token, int32(j), int32(segment)
				at++
			}
		}
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	out := make([][]float32, len(texts))
	v := m.Vocabulary
	for i := range texts {
		out[i] = append([]float32(nil), x.Floats("logits")[starts[i]*v:(starts[i]+len(texts[i]))*v]...)
	}
	return out
}

// Detail 2 of the post-training stages.
func TestPPO2LogitsAreUnchangedByPaddingAndByWhatElseIsInTheRow(t *testing.T) {
	for _, family := range Families {
		m := newModel(t, newCPU(t), tiny(family), 1)
		texts := [][]int32{text(7, 23, 1), text(5, 23, 2), text(9, 23, 3), text(1, 23, 4)}
		alone := make([][]float32, len(texts))
		for i, x := range texts {
			alone[i] = laidOut(t, m, 1, len(x), [][]int{{0}}, [][]int32{x})[0]
		}
		for _, layout := range []struct {
			b, t int
			rows [][]int
		}{
			{4, 9, [][]int{{0}, {1}, {2}, {3}}},
			{1, 24, [][]int{{0, 1, 2, 3}}},
			{2, 16, [][]int{{2, 0}, {3, 1}}},
			{3, 22, [][]int{{3, 2, 1, 0}}},
		} {
			for i, got := range laidOut(t, m, layout.b, layout.t, layout.rows, texts) {
				if d := distance(got, alone[i]); d > 1e-5 {
					t.Errorf("%s: text %d in rows %v of %d: logits differ by %g from the text alone", family, i, layout.rows, layout.t, d)
				}
			}
		}
	}
}

func distance(a, b []float32) float64 {
	var most float64
	for i := range a {
		most = max(most, math.Abs(float64(a[i])-float64(b[i])))
	}
	return most
}

func TestLogitsDoNotDependOnLaterTokens(t *testing.T) {
	for _, family := range Decoders {
		m := newModel(t, reference.New(), tiny(family), 1)
		a, b := text(8, 23, 1), text(8, 23, 1)
		b[5] = (b[5] + 1) % 23
		x, y := laidOut(t, m, 1, 8, [][]int{{0}}, [][]int32{a})[0], laidOut(t, m, 1, 8, [][]int{{0}}, [][]int32{b})[0]
		if d := distance(x[:5*23], y[:5*23]); d != 0 {
			t.Errorf("%s: a token changed the logits before it by %g", family, d)
		}
		for i := 5; i < 8; i++ {
			if distance(x[i*23:(i+1)*23], y[i*23:(i+1)*23]) == 0 {
				t.Errorf("%s: a token left the logits at %d unchanged", family, i)
			}
		}
	}
}

func TestAnEncodersLogitsDependOnAllTokensOfTheText(t *testing.T) {
	m := newModel(t, newCPU(t), tiny(BERT), 1)
	a, b := text(8, 23, 1), text(8, 23, 1)
	b[5] = (b[5] + 1) % 23
	x, y := laidOut(t, m, 1, 8, [][]int{{0}}, [][]int32{a})[0], laidOut(t, m, 1, 8, [][]int{{0}}, [][]int32{b})[0]
	for i := range 8 {
		if distance(x[i*23:(i+1)*23], y[i*23:(i+1)*23]) == 0 {
			t.Errorf("a token left the logits at %d unchanged", i)
		}
	}
}

// A text that goes through the cache in chunks of any size has the hidden
// states of one that goes through at once, in whatever slot it lies.
func TestCachedHiddenStatesAreThoseOfTheWholeText(t *testing.T) {
	const slots, length = 3, 20
	for _, family := range Decoders {
		for _, engine := range []compute.Engine{reference.New(), newCPU(t)} {
			m := newModel(t, engine, tiny(family), 1)
			if err := m.DefineCache(m.Store, slots, length); err != nil {
				t.Fatal(err)
			}
			texts := [][]int32{text(11, 23, 1), text(17, 23, 2)}
			slot := []int32{2, 0}
			whole := make([][]float32, 2)
			for i, x := range texts {
				whole[i] = laidOut(t, m, 1, len(x), [][]int{{0}}, [][]int32{x})[0]
			}
			for _, chunk := range []int{1, 4, 20} {
				p := compute.NewProgram(fmt.Sprint("step ", chunk))
				p.Output("logits", m.Logits(p, m.CachedHidden(p, NewStep(p, 2, chunk), slots, length)))
				x, err := m.Engine.Compile(p, m.Store)
				if err != nil {
					t.Fatal(err)
				}
				for at := 0; at < 17; at += chunk {
					for r, tokens := range texts {
						n := max(0, min(chunk, len(tokens)-at))
						x.Ints("slots")[r], x.Ints("starts")[r], x.Ints("counts")[r] = slot[r], int32(min(at, len(tokens))), int32(n)
						for i := range chunk {
							x.Ints("tokens")[r*chunk+i], x.Ints("positions")[r*chunk+i] = 0, 0
							if i < n {
								x.Ints("tokens")[r*chunk+i], x.Ints("positions")[r*chunk+i] = tokens[at+i], int32(at+i)
							}
						}
					}
					if err := x.Run(); err != nil {
						t.Fatal(err)
					}
					for r, tokens := range texts {
						for i := 0; i < chunk && at+i < len(tokens); i++ {
							got := x.Floats("logits")[(r*chunk+i)*23 : (r*chunk+i+1)*23]
							if d := distance(got, whole[r][(at+i)*23:(at+i+1)*23]); d > 1e-5 {
								t.Errorf("%s on %s, chunks of %d: text %d at %d differs by %g", family, engine.Name(), chunk, r, at+i, d)
							}
						}
					}
				}
			}
		}
	}
}

func TestScoreIsOneNumberForEachHiddenState(t *testing.T) {
	c := tiny(Llama)
	c.Head = Scalar
	m := newModel(t, reference.New(), c, 1)
	if err := m.Store.Write(ScoreBias, []float32{.25}); err != nil {
		t.Fatal(err)
	}
	p := compute.NewProgram("score")
	hidden := p.Input("hidden", compute.Float32, 3, 16)
	p.Output("score", m.Score(p, hidden))
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	for i := range x.Floats("hidden") {
		x.Floats("hidden")[i] = float32(i%5) - 2
	}
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	w := read(t, m, ScoreWeight)
	for i, got := range x.Floats("score") {
		want := .25
		for j := range 16 {
			want += float64(x.Floats("hidden")[i*16+j]) * float64(w[j])
		}
		if math.Abs(float64(got)-want) > 1e-5 {
			t.Errorf("score %d is %v, want %v", i, got, want)
		}
	}
}

// A stretching by 1 leaves the frequencies as they are, and an attention factor of a
// makes queries and keys longer by a each: as if the queries' weights were a² as large.
func TestYaRNsAttentionFactorLengthensQueriesAndKeys(t *testing.T) {
	for _, family := range []Family{Llama, Gemma3} {
		plain := tiny(family)
		stretched := plain
		stretched.RoPEScaling = RoPEScaling{Type: "yarn", Factor: 1, Original: 8, BetaFast: 32, BetaSlow: 1, AttentionFactor: 1.5}
		engine := reference.New()
		a, b := newModel(t, engine, plain, 3), newModel(t, engine, stretched, 3)
		for _, p := range a.Parameters() {
			layer := strings.HasPrefix(p.Name, "model.layers.")
			// Gemma 3 normalises queries, and multiplies them by 1 + weight.
			norm := layer && strings.HasSuffix(p.Name, "self_attn.q_norm.weight")
			if !norm && !(layer && family == Llama && strings.HasSuffix(p.Name, "self_attn.q_proj.weight")) {
				continue
			}
			values := read(t, a, p.Name)
			var i int
			if _, err := fmt.Sscanf(p.Name, "model.layers.%d.", &i); err != nil {
				t.Fatal(err)
			}
			for j := range values {
				switch {
				case norm && plain.windowOf(i) == 0: // layers with a window are not stretched
					values[j] = 2.25*(1+values[j]) - 1
				case !norm:
					values[j] *= 2.25
				}
			}
			if err := a.Store.Write(p.Name, values); err != nil {
				t.Fatal(err)
			}
		}
		tokens := text(7, plain.Vocabulary, 1)
		want, got := laidOut(t, a, 1, 7, [][]int{{0}}, [][]int32{tokens})[0], laidOut(t, b, 1, 7, [][]int{{0}}, [][]int32{tokens})[0]
		if d := distance(got, want); d > 1e-5 {
			t.Errorf("%s: the logits differ by %g", family, d)
		}
		without := laidOut(t, newModel(t, engine, plain, 3), 1, 7, [][]int{{0}}, [][]int32{tokens})[0]
		if d := distance(got, without); d < 1e-4 {
			t.Errorf("%s: the attention factor does nothing: %g", family, d)
		}
	}
}
