// Package bench measures how fast this machine computes: whole training steps,
// generation and iterations of PPO on models of random weights, so that nothing
// need be downloaded, and matrix products, attention and the machine's peak, which
// the others are held against.
//
//	on := bench.Setup{Engine: cpu.Options{Threads: 2}}
//	r, err := bench.Train(ctx, on, bench.Options{Model: "gpt2-124m", Batch: 4, Seq: 256, Steps: 5})
//	fmt.Println(r.TokensPerSecond, r.PercentOfPeak)
//
// A step is what a benchmark repeats: the first one warms up and is not counted, of
// the others results give the median and the best. FLOPs are the Programs' own
// count (see package compute).
//
// The folder peers holds what does the same work in other programs; it reads the
// results' JSON. Package bench prints nothing and compares with nothing.
package bench
