package train

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
)

// Failpoints of every training stage, for the tests that kill it.
var (
	failAfterStep        = artifact.NewFailpoint("train.after_step")
	failBeforeCheckpoint = artifact.NewFailpoint("train.before_checkpoint")
	failAfterCheckpoint  = artifact.NewFailpoint("train.after_checkpoint")
)

// checkpoints writes the checkpoints of a run: between two steps, or in the
// background, from a snapshot, while the next steps go on. At most one write is
// under way, or the making of memory for snapshots.
type checkpoints struct {
	*Loop
	log   *loopLog
	saved int           // step of the newest one, which may be under way; −1: none
	begun time.Time     // when it was
	took  time.Duration // to write the last one
	under chan written  // the write under way; nil: none
	room  bool          // the memory for snapshots was asked for
	// inPlace: a snapshot does not fit into memory, so that the steps wait for
	// every write.
	inPlace bool
}

// written is how a write ended.
type written struct {
	took time.Duration // 0: nothing was written
	err  error
}

const (
	// writeShare is the most that writing may take of the time. On two processors
	// the steps beside a write lose a third to six tenths of their rate, by what else
	// the machine does (docs/reliability.md): at most 3 % of the time.
	writeShare = .05
	// longestInterval bounds the work that may be lost where writing is slow.
	longestInterval = 10 * time.Minute
)

// due tells whether it is time for a checkpoint. One that is due by time waits
// for the write under way, one by steps has the steps wait for it.
func (c *checkpoints) due(step int) bool {
	return time.Since(c.begun) >= c.interval() && c.under == nil || c.CheckpointSteps > 0 && step%c.CheckpointSteps == 0
}

// interval is the time from one checkpoint to the next.
func (c *checkpoints) interval() time.Duration {
	slow := time.Duration(float64(c.took) / writeShare)
	return max(c.CheckpointEvery, min(slow, longestInterval))
}

// now writes a checkpoint and returns when it is complete.
func (c *checkpoints) now(state *trainerState) error { return c.take(state, false) }

// behind has a checkpoint written while the next steps go on.
func (c *checkpoints) behind(state *trainerState) error {
	c.makeRoom()
	return c.take(state, !c.inPlace)
}

// prepare makes the memory for snapshots in the background, half of the interval
// before the first: that takes longer than a snapshot.
func (c *checkpoints) prepare() {
	if !c.room && c.under == nil && time.Since(c.begun) >= c.CheckpointEvery/2 {
		if all := c.makeRoom(); all != nil {
			c.background(func() written { return written{err: all()} })
		}
	}
}

// makeRoom finds out, once, whether there is memory for snapshots, and returns what
// takes it.
func (c *checkpoints) makeRoom() func() error {
	if c.room {
		return nil
	}
	c.room = true
	var size int64
	var rooms []Room
	for _, s := range c.States {
		room := s.Room()
		size += room.Bytes
		if room.Make != nil {
			rooms = append(rooms, room)
		}
	}
	if c.inPlace = !c.fits(size); c.inPlace {
		return nil
	}
	return func() error {
		for _, room := range rooms {
			if err := room.Make(); err != nil {
				return fmt.Errorf("making room for checkpoints of %s: %w", c.Stage, err)
			}
		}
		return nil
	}
}

// background runs what the steps need not wait for.
func (c *checkpoints) background(do func() written) {
	c.under = make(chan written, 1)
	go func(done chan<- written) { done <- do() }(c.under)
}

func (c *checkpoints) take(state *trainerState, behind bool) error {
	if err := c.wait(); err != nil || c.saved == state.Step {
		return err
	}
	if err := failBeforeCheckpoint.Hit(); err != nil {
		return err
	}
	files, err := c.files(state, behind)
	if err != nil {
		return err
	}
	step := state.Step
	write := func() error {
		// The lines of metrics that the checkpoint counts on are durable before it is.
		if err := c.log.sync(); err != nil {
			return err
		}
		if err := artifact.WriteCheckpoint(c.folder(), step, files, keptCheckpoints); err != nil {
			return fmt.Errorf("writing checkpoint of %s at step %d: %w", c.Stage, step, err)
		}
		return failAfterCheckpoint.Hit()
	}
	c.saved, c.begun = step, time.Now()
	timed := func() written {
		start := time.Now()
		err := write()
		return written{time.Since(start), err}
	}
	if !behind {
		return c.end(timed())
	}
	c.background(timed)
	return nil
}

// room refuses to begin at a step where the disk has no room for the checkpoints that
// are kept at once, the one that is being written, and the result behind them.
func (l *Loop) room(step int) error {
	look := l.Free
	if look == nil {
		look = artifact.FreeSpace
	}
	free, known := look(l.Folder)
	if !known {
		return nil
	}
	there, err := artifact.CountCheckpoints(l.folder())
	if err != nil {
		return err
	}
	var size int64 // of a checkpoint
	for _, s := range l.States {
		room := s.Room()
		size += room.Bytes + room.Beside
	}
	there = min(there, keptCheckpoints)
	left := max(0, l.Steps-step) // each may have a checkpoint
	written := int64(min(left, keptCheckpoints+1-there))
	stay := int64(min(left, keptCheckpoints-there))
	need := max(written*size, stay*size+l.Result)
	say := fmt.Sprintf("%s: checkpoints and the result take up to %s in %s, and %s are free on its disk", l.Stage, progress.Bytes(need), l.Folder, progress.Bytes(free))
	switch {
	case free < need:
		return artifact.Errorf(artifact.ErrNoSpace, "beginning %s: no space for %s; free them, or choose another disk with --out", say, progress.Bytes(need-free))
	case free < need+need/4:
		l.Log.Warn(fmt.Errorf("%s: if something else fills it, the stage will end for want of space", say))
	}
	return nil
}

func (c *checkpoints) end(w written) error {
	c.under = nil
	if w.took > 0 {
		c.took = w.took
	}
	return w.err
}

// files are those of a checkpoint, with copies of the states if they are
// written while the states change.
func (c *checkpoints) files(state *trainerState, copied bool) (artifact.Contents, error) {
	files := make(artifact.Contents)
	for _, s := range c.States {
		save := s.Save
		if copied {
			save = s.Snapshot
		}
		more, err := save()
		if err != nil {
			return nil, fmt.Errorf("saving %s at step %d: %w", c.Stage, state.Step, err)
		}
		maps.Copy(files, more)
	}
	state.Norms = c.Guard.norms
	trainer, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding trainer.json: %w", err)
	}
	files["trainer.json"] = artifact.Bytes(append(trainer, '\n'))
	return files, nil
}

// fits tells whether there is memory for snapshots of a size, and says so where
// not. An eighth of the memory is left alone.
func (c *checkpoints) fits(size int64) bool {
	left := c.Memory - c.Memory/8 - progress.ResidentMemory()
	if c.Memory == 0 || size <= left {
		return true
	}
	c.log.Printf("%s: a copy of weights and moments takes %s and there are %s, so the steps wait while a checkpoint is written", c.Stage, progress.Bytes(size), progress.Bytes(max(0, left)))
	return false
}

// ended returns the error of a write that has ended since.
func (c *checkpoints) ended() error {
	select {
	case w := <-c.under:
		return c.end(w)
	default: // under way, or none
		return nil
	}
}

// wait returns when no write is under way.
func (c *checkpoints) wait() error {
	if c.under == nil {
		return nil
	}
	return c.end(<-c.under)
}
