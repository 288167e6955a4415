package cpu

import (
	"slices"

	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

// tiling cuts a matrix of m rows and a number of panels into tasks.
type tiling struct {
	m, panels     int
	rows, columns int // rows and panels of a task
	across, tasks int // tasks side by side, all tasks
}

const (
	// taskRows is the most rows of a task, as many as the kernels take at one
	// time: with kernel.KC steps of the inner dimension 96 KiB, which stay in a
	// core's second-level cache.
	taskRows = 96
	// tasksPerWorker bounds the tasks of a small product.
	tasksPerWorker = 16

	// Costs beside the multiply-adds, in those of one row and panel: reading
	// a panel into the first-level cache, touching a row (packing it, where
	// the left matrix is transposed), and claiming a task.
	panelCost = 3
	rowCost   = 1
	claimCost = 4
)

// tile cuts the product's output [m, n] into tasks, such that the worker that
// is last to finish finishes early.
func (p *pool) tile(m, n int) tiling {
	panels := panelCount(n)
	most := max(tasksPerWorker*p.workers, (m+taskRows-1)/taskRows)
	var best tiling
	bestTime := -1
	for rows := min(taskRows, roundUp(max(1, m), kernel.MR)); rows > 0; rows -= kernel.MR {
		for across := 1; across <= min(panels, tasksPerWorker*p.workers); across++ {
			t := tiling{m: m, panels: panels, rows: rows, columns: (panels + across - 1) / across}
			t.across = (panels + t.columns - 1) / t.columns
			t.tasks = (m + rows - 1) / rows * t.across
			if t.across != across || t.tasks > most {
				continue
			}
			if time := t.time(p.workers); bestTime < 0 || time < bestTime {
				best, bestTime = t, time
			}
		}
	}
	return best
}

// time is when the last of the workers finishes, if all are equally fast.
func (t tiling) time(workers int) int {
	busy := make([]int, workers)
	for task := range t.tasks {
		at := t.at(task)
		free := 0
		for w := range busy {
			if busy[w] < busy[free] {
				free = w
			}
		}
		busy[free] += (at.M1-at.M0+panelCost)*(at.P1-at.P0) + rowCost*(at.M1-at.M0) + claimCost
	}
	return slices.Max(busy)
}

// at returns the area of a task.
func (t tiling) at(task int) area {
	m0, p0 := task/t.across*t.rows, task%t.across*t.columns
	return area{m0, min(m0+t.rows, t.m), p0, min(p0+t.columns, t.panels)}
}
