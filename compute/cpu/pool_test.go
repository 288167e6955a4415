package cpu

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestPoolRunsEveryTaskOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 8} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			p := newPool(workers)
			defer p.close()
			for round := range 300 {
				runs := make([]atomic.Int32, round%40)
				var busy [8]atomic.Int32
				p.do(&job{len(runs), func(task, worker int) {
					if busy[worker].Add(1) != 1 {
						t.Errorf("worker %d runs two tasks at a time", worker)
					}
					runs[task].Add(1)
					busy[worker].Add(-1)
				}})
				for task := range runs {
					if n := runs[task].Load(); n != 1 {
						t.Fatalf("round %d: task %d of %d ran %d times when do returned", round, task, len(runs), n)
					}
				}
			}
		})
	}
}

// Both tasks of the job wait for each other, so the job only ends if a sleeping
// worker wakes.
func TestPoolWakesWorkersThatSleep(t *testing.T) {
	p := newPool(2)
	defer p.close()
	for range 5 {
		for !p.sleepers[0].asleep.Load() {
			runtime.Gosched()
		}
		var started atomic.Int32
		p.do(&job{2, func(int, int) {
			started.Add(1)
			for started.Load() < 2 {
				runtime.Gosched()
			}
		}})
	}
}

func TestAPoolThatForgotItsJobHoldsNothingOfIt(t *testing.T) {
	p := newPool(2)
	defer p.close()
	freed := make(chan bool)
	func() {
		held := new([1 << 20]float32)
		runtime.AddCleanup(held, func(c chan bool) { close(c) }, freed)
		p.do(&job{tasks: 4, run: func(task, _ int) { held[task] = 1 }})
	}()
	p.forget()
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			ran := make([]int, 4)
			p.do(&job{tasks: 4, run: func(task, _ int) { ran[task] = 1 }})
			if !slices.Equal(ran, []int{1, 1, 1, 1}) {
				t.Errorf("the next job ran %v", ran)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
	t.Error("what the job held is still there")
}
