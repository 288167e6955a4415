package train

import "github.com/seed-b72bdb6c/alma/stage"

// Charts of every training stage.
var (
	GradientChart = stage.Chart{Title: "Norm of the gradient", Unit: "norm before clipping", LogY: true, Curves: [][2]string{{"grad_norm", "norm"}}}
	RateChart     = stage.Chart{Title: "Learning rate", Unit: "learning rate", Curves: [][2]string{{"lr", "rate"}}}
)
