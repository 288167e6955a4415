package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// spinTime is how long an idle worker looks for the next job before it
	// sleeps. The steps of a run follow each other within microseconds, and
	// waking a goroutine takes tens of them.
	spinTime = 100 * time.Microsecond
	// spinLoads looks are made between two looks at the clock.
	spinLoads = 64
)

// job is work cut into tasks that may run in any order and at the same time.
type job struct {
	tasks int
	run   func(task, worker int)
}

// pool runs jobs on a fixed number of workers. Worker 0 is the goroutine that
// calls do; the others live until close. A task is claimed by one atomic
// exchange, so a worker that the operating system took off its core delays at
// most the task that it holds.
type pool struct {
	workers int
	// yield is set when there are more workers than processors: then whoever
	// waits must let the others run.
	yield bool

	// state holds the number of tasks in its high half and the next one to
	// claim in its low half. current is replaced only while all tasks of the
	// job before are done; after a successful claim it is the claimed job.
	state   atomic.Uint64
	_       [56]byte
	done    atomic.Uint32
	_       [60]byte
	current atomic.Pointer[job]
	closed  atomic.Bool

	caller   sleeper
	sleepers []sleeper // of the workers from 1
	exited   sync.WaitGroup
}

// sleeper lets one goroutine sleep until another wakes it. The flag says that
// it sleeps or is about to; who clears it owes a token, or takes the duty to
// sleep away.
type sleeper struct {
	asleep atomic.Bool
	token  chan struct{}
	_      [48]byte
}

func newPool(workers int) *pool {
	p := &pool{
		workers:  workers,
		yield:    workers > runtime.GOMAXPROCS(0),
		sleepers: make([]sleeper, workers-1),
	}
	p.caller.token = make(chan struct{}, 1)
	for i := range p.sleepers {
		p.sleepers[i].token = make(chan struct{}, 1)
		p.exited.Add(1)
		go p.work(i + 1)
	}
	return p
}

// close ends the workers. No job may run.
func (p *pool) close() {
	p.closed.Store(true)
	for i := range p.sleepers {
		p.sleepers[i].wake()
	}
	p.exited.Wait()
}

// forget lets go of the job that ran last, and with it of the executable that it is of.
// No job may run.
func (p *pool) forget() { p.current.Store(&job{}) }

// do runs a job and returns when all of its tasks are done.
func (p *pool) do(j *job) {
	if p.workers == 1 || j.tasks <= 1 {
		for t := range j.tasks {
			j.run(t, 0)
		}
		return
	}
	p.done.Store(0)
	p.current.Store(j)
	p.state.Store(uint64(j.tasks) << 32)
	for i := range min(len(p.sleepers), j.tasks-1) {
		p.sleepers[i].wake()
	}
	for p.claim(0) {
	}
	tasks := uint32(j.tasks)
	p.caller.wait(p.yield, func() bool { return p.done.Load() == tasks })
}

// claim runs one task of the current job, and reports false when none is left.
func (p *pool) claim(worker int) bool {
	for {
		s := p.state.Load()
		task, tasks := uint32(s), uint32(s>>32)
		if task >= tasks {
			return false
		}
		if !p.state.CompareAndSwap(s, s+1) {
			continue
		}
		p.current.Load().run(int(task), worker)
		if p.done.Add(1) == tasks && worker != 0 {
			p.caller.wake()
		}
		return true
	}
}

func (p *pool) work(worker int) {
	defer p.exited.Done()
	sleeper := &p.sleepers[worker-1]
	ready := func() bool {
		s := p.state.Load()
		return uint32(s) < uint32(s>>32) || p.closed.Load()
	}
	for !p.closed.Load() {
		if !p.claim(worker) {
			sleeper.wait(p.yield, ready)
		}
	}
}

// wait returns once ready holds: at first it looks again and again, then it
// sleeps until woken.
func (s *sleeper) wait(yield bool, ready func() bool) {
	var deadline time.Time
	for {
		for range spinLoads {
			if ready() {
				return
			}
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now.Add(spinTime)
		}
		if yield {
			runtime.Gosched()
		}
		if now.Before(deadline) {
			continue
		}
		s.asleep.Store(true)
		// Whoever makes ready true looks at the flag afterwards, so one of
		// the two sees the other.
		if !ready() || !s.asleep.CompareAndSwap(true, false) {
			<-s.token
		}
		deadline = time.Time{}
	}
}

// wake ends the sleep of a goroutine that sleeps or is about to.
func (s *sleeper) wake() {
	if s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
		s.token <- struct{}{}
	}
}
