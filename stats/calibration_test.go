package stats

import (
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

func TestBinsByHand(t *testing.T) {
	b := EqualBins(0, 2)
	for _, x := range []struct{ confidence, right float64 }{{.1, 0}, {.3, 1}, {.9, 1}, {1, 1}, {.7, 0}} {
		b.Add(x.confidence, x.confidence, x.right)
	}
	b.Close()
	for i, w := range []Bin{{0, 2, .2, .5}, {.5, 3, 2.6 / 3, 2.0 / 3}} {
		g := b[i]
		if g.Low != w.Low || g.N != w.N {
			t.Errorf("bin %d is %+v, want %+v", i, g, w)
		}
		near(t, "confidence", g.Confidence, w.Confidence, 1e-12)
		near(t, "accuracy", g.Accuracy, w.Accuracy, 1e-12)
	}
	near(t, "ECE", b.CalibrationError(), .4*.3+.6*.2, 1e-12)
}

func TestAnEdgeBelongsToTheUpperBin(t *testing.T) {
	b := NewBins(0, .5, 2)
	for _, value := range []float64{-1, .499, .5, 2, 100} {
		b.Add(value, .5, 1)
	}
	for i, want := range []int{2, 1, 2} {
		if b[i].N != want {
			t.Errorf("bin %d holds %d, want %d", i, b[i].N, want)
		}
	}
	near(t, "ECE of nothing", EqualBins(.5, 4).CalibrationError(), 0, 0)
}

func TestForecastsThatComeTrueAsClaimedAreCalibrated(t *testing.T) {
	honest, reversed := EqualBins(0, 10), EqualBins(0, 10)
	for i := range uint64(20000) {
		p, right := compute.Uniform(3, 0, i), 0.0
		if compute.Uniform(3, 1, i) < p {
			right = 1
		}
		honest.Add(p, p, right)
		reversed.Add(p, p, 1-right)
	}
	honest.Close()
	reversed.Close()
	if ece := honest.CalibrationError(); ece > .02 {
		t.Errorf("ECE of honest forecasts is %v", ece)
	}
	if ece := reversed.CalibrationError(); ece < .4 {
		t.Errorf("ECE of forecasts turned upside down is %v", ece)
	}
}
