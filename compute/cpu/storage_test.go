package cpu

import (
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

func TestStoragesThatLiveAtTheSameTimeDoNotOverlapInTheArena(t *testing.T) {
	const steps = 40
	for seed := range uint64(50) {
		draw := func(i, n int) int { return int(compute.Bits(seed, 1, uint64(i)) % uint64(n)) }
		var storages []*storage
		for i := range 60 {
			first := draw(3*i, steps)
			storages = append(storages, &storage{
				size: 1 + draw(3*i+1, 200), first: first, last: min(steps, first+draw(3*i+2, 10)),
			})
		}
		total := pack(storages, steps)
		for i, a := range storages {
			if a.offset%alignment != 0 || a.offset < 0 || a.offset+a.size > total {
				t.Fatalf("seed %d: a storage of %d floats lies at %d of %d", seed, a.size, a.offset, total)
			}
			for _, b := range storages[:i] {
				if a.first <= b.last && b.first <= a.last && a.offset < b.offset+b.size && b.offset < a.offset+a.size {
					t.Fatalf("seed %d: steps %d–%d at %d+%d and steps %d–%d at %d+%d overlap",
						seed, a.first, a.last, a.offset, a.size, b.first, b.last, b.offset, b.size)
				}
			}
		}
	}
}

func TestChainTakesNoMoreMemoryThanTwoOfItsTensors(t *testing.T) {
	var chain []*storage
	for i := range 20 {
		chain = append(chain, &storage{size: 160, first: i, last: i + 1})
	}
	if total := pack(chain, 21); total != 320 {
		t.Errorf("the arena has %d floats, want 320", total)
	}
}

func TestProductTasksCoverTheOutputOnce(t *testing.T) {
	p := &pool{workers: 3}
	for _, shape := range [][2]int{{1, 1}, {1, 2048}, {5, 17}, {64, 256}, {97, 33}, {2048, 704}} {
		tiles := p.tile(shape[0], shape[1])
		seen := make([]int, shape[0]*panelCount(shape[1]))
		for task := range tiles.tasks {
			at := tiles.at(task)
			for i := at.M0; i < at.M1; i++ {
				for j := at.P0; j < at.P1; j++ {
					seen[i*tiles.panels+j]++
				}
			}
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("%v: row %d, panel %d belongs to %d tasks", shape, i/tiles.panels, i%tiles.panels, n)
			}
		}
	}
}

func TestChunksOfRowsStayInTheirSequence(t *testing.T) {
	chunks := chunksOf(compute.Shape{3, 70, 4})
	var got [][2]int
	for i := range chunks.count() {
		lo, hi := chunks.at(i)
		got = append(got, [2]int{lo, hi})
	}
	want := [][2]int{{0, 32}, {32, 64}, {64, 70}, {70, 102}, {102, 134}, {134, 140}, {140, 172}, {172, 204}, {204, 210}}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("chunk %d is %v, want %v", i, got[i], want[i])
		}
	}
}
