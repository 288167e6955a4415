package report

import (
	"math"
	"strings"
)

// MaxPoints is how many points of a curve a report keeps at most.
const MaxPoints = 1000

// thin returns s with at most MaxPoints points. It splits the curve into
// buckets of equal length and keeps the lowest and the highest finite point of
// each, in order, so that a spike of one step stays visible. The first and the
// last point always stay.
func thin(s Series) Series {
	n := len(s.X)
	if n <= MaxPoints {
		return s
	}
	out := Series{Name: s.Name, X: make([]float64, 0, MaxPoints), Y: make([]float64, 0, MaxPoints)}
	keep := func(i int) {
		out.X = append(out.X, s.X[i])
		out.Y = append(out.Y, s.Y[i])
	}
	keep(0)
	buckets := (MaxPoints - 2) / 2
	inner := n - 2
	for b := range buckets {
		from, to := 1+b*inner/buckets, 1+(b+1)*inner/buckets
		low, high := -1, -1
		for i := from; i < to; i++ {
			if !finite(s.Y[i]) {
				continue
			}
			if low < 0 || s.Y[i] < s.Y[low] {
				low = i
			}
			if high < 0 || s.Y[i] > s.Y[high] {
				high = i
			}
		}
		switch {
		case low < 0:
			keep(from) // a gap stays a gap
		case low == high:
			keep(low)
		default:
			keep(min(low, high))
			keep(max(low, high))
		}
	}
	keep(n - 1)
	return out
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// curve sums up a series in numbers.
type curve struct {
	Name                     string
	Points                   int
	First, Lowest, Highest   string
	Last                     string
	firstX, lastX            float64
	sparkline                string
	first, low, high, latest float64
}

// sumUp looks at the whole series, not at the thinned one.
func sumUp(s Series) curve {
	c := curve{Name: s.Name, first: math.NaN(), low: math.NaN(), high: math.NaN(), latest: math.NaN()}
	for i, y := range s.Y {
		if !finite(y) {
			continue
		}
		if c.Points == 0 {
			c.first, c.low, c.high, c.firstX = y, y, y, s.X[i]
		}
		c.Points++
		c.low, c.high = min(c.low, y), max(c.high, y)
		c.latest, c.lastX = y, s.X[i]
	}
	c.First, c.Lowest, c.Highest, c.Last = figure(c.first), figure(c.low), figure(c.high), figure(c.latest)
	c.sparkline = sparkline(s.Y, 32)
	return c
}

// sparkline draws the means of equal stretches of y as bars of eight heights;
// a stretch without finite values is a space.
func sparkline(y []float64, width int) string {
	width = min(width, len(y))
	means := make([]float64, width)
	low, high := math.Inf(1), math.Inf(-1)
	for b := range means {
		sum, n := 0.0, 0
		for _, v := range y[b*len(y)/width : (b+1)*len(y)/width] {
			if finite(v) {
				sum += v
				n++
			}
		}
		means[b] = sum / float64(n)
		if n > 0 {
			low, high = min(low, means[b]), max(high, means[b])
		}
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var out strings.Builder
	for _, m := range means {
		switch {
		case !finite(m):
			out.WriteByte(' ')
		case high == low:
			out.WriteRune(bars[3])
		default:
			out.WriteRune(bars[min(int((m-low)/(high-low)*8), 7)])
		}
	}
	return out.String()
}
