package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
)

// ProductShape is M rows that a linear layer takes from K features to N.
type ProductShape struct{ M, N, K int }

// GPT2Products are the linear layers of GPT-2 124M at 256 and 1024 rows, and its
// vocabulary head at 256.
func GPT2Products() []ProductShape {
	const width, vocabulary = 768, 50257
	var shapes []ProductShape
	for _, rows := range []int{256, 1024} {
		shapes = append(shapes,
			ProductShape{rows, 3 * width, width}, // queries, keys and values
			ProductShape{rows, width, width},     // what attention found
			ProductShape{rows, 4 * width, width}, // feed-forward
			ProductShape{rows, width, 4 * width})
	}
	return append(shapes, ProductShape{256, vocabulary, width})
}

// ProductsResult is what [Products] measured.
type ProductsResult struct {
	Benchmark  string        `json:"benchmark"`
	Precision  string        `json:"precision"`
	Engine     string        `json:"engine"`
	Threads    int           `json:"threads"`
	Steps      int           `json:"steps"`
	PeakGFLOPS float64       `json:"peak_gflops"`
	Bandwidth  float64       `json:"bandwidth_gb_s"`
	Products   []ProductTime `json:"products"`
}

// ProductTime is the time of one matrix product.
type ProductTime struct {
	Product       string  `json:"product"`
	M             int     `json:"m"`
	N             int     `json:"n"`
	K             int     `json:"k"`
	MedianSeconds float64 `json:"median_s"`
	BestSeconds   float64 `json:"best_s"`
	GFLOPS        float64 `json:"gflops"`
	PercentOfPeak float64 `json:"percent_of_peak"`
}

// Products times the products of linear layers: y = x·W with W as [K, N] and as
// [N, K], and the gradients dX = dY·Wᵀ and dW = Xᵀ·dY. The weights are written
// before each time, so that it includes bringing them into the order of the
// kernels, as in training.
func Products(ctx context.Context, s Setup, shapes []ProductShape, steps int) (ProductsResult, error) {
	if steps < 1 {
		return ProductsResult{}, refuse("--steps is %d, want 1 or more", steps)
	}
	engine := s.engine(false)
	defer engine.Close()
	r := ProductsResult{
		Benchmark: "gemm", Precision: string(engine.Precision()), Engine: engine.Name(), Threads: engine.Threads(), Steps: steps,
		PeakGFLOPS: engine.MeasurePeak(), Bandwidth: engine.MeasureBandwidth(),
	}
	for _, shape := range shapes {
		for _, product := range products {
			p, err := s.timeProduct(ctx, engine, product, shape, steps)
			if err != nil {
				return r, err
			}
			p.PercentOfPeak = 100 * p.GFLOPS / r.PeakGFLOPS
			r.Products = append(r.Products, p)
		}
	}
	return r, nil
}

// product is one of the products of a linear layer.
type product struct {
	name string
	// of builds it of the layer's input x [M, K], weight and dY [M, N].
	of func(x, weight, dy *compute.Tensor) *compute.Tensor
	// outIn: the weight is [N, K].
	outIn bool
}

var products = []product{
	{name: "x·W, W [K, N]", of: func(x, w, _ *compute.Tensor) *compute.Tensor { return compute.Linear(x, w, nil, false) }},
	{name: "x·W, W [N, K]", of: func(x, w, _ *compute.Tensor) *compute.Tensor { return compute.Linear(x, w, nil, true) }, outIn: true},
	{name: "dX, W [K, N]", of: func(x, w, dy *compute.Tensor) *compute.Tensor { return layerGradient(x, w, dy)[0] }},
	{name: "dW [K, N]", of: func(x, w, dy *compute.Tensor) *compute.Tensor { return layerGradient(x, w, dy)[1] }},
}

// layerGradient is dX and dW of y = x·W.
func layerGradient(x, w, dy *compute.Tensor) []*compute.Tensor {
	y := compute.Linear(x, w, nil, false)
	return y.Node.Op.Gradient(y.Node, []*compute.Tensor{dy})
}

// timeProduct times a product of random numbers so many times.
func (on Setup) timeProduct(ctx context.Context, engine *cpu.Engine, product product, s ProductShape, steps int) (ProductTime, error) {
	weight := []int{s.K, s.N}
	if product.outIn {
		weight = []int{s.N, s.K}
	}
	store, p := engine.NewStore(), compute.NewProgram(fmt.Sprintf("%s %v", product.name, s))
	var operands []*compute.Tensor
	values := map[string][]float32{}
	for _, v := range []struct {
		name  string
		shape []int
	}{{"x", []int{s.M, s.K}}, {"weight", weight}, {"dy", []int{s.M, s.N}}} {
		values[v.name] = randomFloats(v.name, compute.Shape(v.shape).Size())
		if err := store.Define(v.name, v.shape...); err != nil {
			return ProductTime{}, err
		}
		if err := store.Write(v.name, values[v.name]); err != nil {
			return ProductTime{}, err
		}
		operands = append(operands, p.Variable(v.name, v.shape...))
	}
	y := product.of(operands[0], operands[1], operands[2])
	if err := store.Define("y", y.Shape...); err != nil {
		return ProductTime{}, err
	}
	// A result that becomes a variable is computed in its place.
	p.Update(p.Variable("y", y.Shape...), y)
	x, err := engine.Compile(p, store)
	if err != nil {
		return ProductTime{}, err
	}
	times, err := on.time(ctx, steps, func(int) (time.Duration, error) {
		if err := store.Write("weight", values["weight"]); err != nil {
			return 0, err
		}
		start := time.Now()
		err := x.Run()
		return time.Since(start), err
	})
	if err != nil {
		return ProductTime{}, err
	}
	middle := median(times).Seconds()
	return ProductTime{
		Product: product.name, M: s.M, N: s.N, K: s.K,
		MedianSeconds: middle, BestSeconds: slices.Min(times).Seconds(),
		GFLOPS: float64(x.FLOPs()) / middle / 1e9,
	}, nil
}
