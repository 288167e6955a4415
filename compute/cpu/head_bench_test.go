package cpu_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// BenchmarkVocabularyLoss times the losses of n tokens in sequences of t, alone and
// with their gradients, logits kept or computed again. The weights change before
// each training step. Of masked rows half have no loss.
func BenchmarkVocabularyLoss(b *testing.B) {
	for _, size := range []struct{ n, t, d, v int }{{512, 64, 768, 50257}, {2048, 256, 256, 2048}} {
		for _, mode := range []struct {
			name         string
			train, kept  bool
			masked, bias bool
		}{
			{name: "forward"}, {name: "forward, masked", masked: true},
			{name: "kept", train: true, kept: true}, {name: "again", train: true},
			{name: "again, masked", train: true, masked: true}, {name: "bias", train: true, kept: true, bias: true},
		} {
			b.Run(fmt.Sprintf("%d of %d, %d to %d/%s", size.n, size.t, size.d, size.v, mode.name), func(b *testing.B) {
				e := cpu.New(cpu.Options{})
				defer e.Close()
				e.KeepLogits(0)
				if mode.kept {
					e.KeepLogits(math.MaxInt)
				}
				p := compute.NewProgram("head")
				hidden, w := p.Variable("hidden", size.n, size.d), p.Variable("w", size.v, size.d)
				targets := p.Input("targets", compute.Int32, size.n/size.t, size.t)
				losses := compute.LinearCrossEntropy(hidden, w, targets, true)
				if mode.bias {
					losses = compute.BiasedCrossEntropy(hidden, w, p.Variable("bias", size.v), targets, true)
				}
				loss := compute.Mean(losses)
				p.Output("loss", loss)
				if mode.train {
					gradients := compute.Gradient(loss, hidden, w)
					p.Output("dhidden", gradients[0])
					p.Accumulate("grad/w", gradients[1])
				}
				s := e.NewStore()
				define(b, s, p)
				x, err := e.Compile(p, s)
				if err != nil {
					b.Fatal(err)
				}
				for i := range x.Ints("targets") {
					x.Ints("targets")[i] = int32(i * 37 % size.v)
					if mode.masked && i%2 == 0 {
						x.Ints("targets")[i] = -1
					}
				}
				weights := make([]float32, size.v*size.d)
				if err := s.Read("w", weights); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if mode.train {
						if err := s.Write("w", weights); err != nil {
							b.Fatal(err)
						}
					}
					if err := x.Run(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(x.FLOPs())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
