package dedup

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// documentsVariable is how many documents TestTheRepeatsAmongManyDocumentsAreFound makes: 10000000 take 4.2 GB
// of disk in the folder that TMPDIR names.
const documentsVariable = "ALMA_DEDUP_DOCUMENTS"

// synthetic gives document i its bands. Of ten, seven are like no other; three are
// copies of one before them, of similarity .75 as it were: each of the 14 bands is the
// original's with probability .75^8. original is i itself where none is.
func synthetic(i uint64, bands []uint64) (original uint64) {
	number := func(of, stream uint64) uint64 { // SplitMix64 (Steele et al. 2014)
		x := (of*64 + stream + 1) * 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	var from uint64
	copied := i%10 >= 7
	if copied {
		from = number(i, 30)%(i/10+1)*10 + number(i, 31)%7
	}
	original = i
	for band := range bands {
		bands[band] = number(i, uint64(band))
		if copied && number(i, 32+uint64(band))>>11 < 901980556103761 { // .75^8 · 2^53
			bands[band] = number(from, uint64(band))
			original = from
		}
	}
	return original
}

// The stage alone, without texts: records of documents are written in shards and
// merged, and what is found is compared with what was made. By default that is a
// small number of documents; documentsVariable makes it a measurement.
func TestTheRepeatsAmongManyDocumentsAreFound(t *testing.T) {
	n, shards, memory := uint64(30_000), uint64(4), int64(1<<20)
	if text := os.Getenv(documentsVariable); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 32); err != nil {
			t.Fatal(err)
		}
		shards, memory = 16, DefaultMemory
	}
	folder := t.TempDir()
	bands := make([]uint64, 14)
	var files []string
	begin := time.Now()
	for shard := range shards {
		path := filepath.Join(folder, fmt.Sprintf("%d.bands", shard))
		w, err := CreateBands(path, MinHash{}, memory)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		for i := shard; i < n; i += shards {
			synthetic(i, bands)
			if err := w.Add(bands, Position{Source: uint32(i / 1000), Document: i % 1000 * 4321}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	t.Logf("%d documents: record files of %d bytes in %.1f s", n, size(t, folder), time.Since(begin).Seconds())
	begin = time.Now()
	next, found := uint64(0), 0
	var most int64
	for d, err := range Near(t.Context(), files, MinHash{}, Options{Folder: folder, Memory: memory}) {
		if err != nil {
			t.Fatal(err)
		}
		if found == 0 {
			most = size(t, folder)
		}
		for ; synthetic(next, bands) == next; next++ { // what is no copy, or shares no band
		}
		original := synthetic(next, bands)
		at := func(i uint64) Position { return Position{Source: uint32(i / 1000), Document: i % 1000 * 4321} }
		if d != (Duplicate{at(next), at(original)}) {
			t.Fatalf("found %v, want %v", d, Duplicate{at(next), at(original)})
		}
		next++
		found++
	}
	for ; next < n; next++ {
		if synthetic(next, bands) != next {
			t.Fatalf("document %d repeats another and is not found", next)
		}
	}
	if share := float64(found) / float64(n); share < .2 || share > .25 { // .3 × .77
		t.Errorf("%.3f of the documents are repeats, of .3 × .77", share)
	}
	t.Logf("merged in %.1f s: %d repeats; at most %d bytes on the disk, %s of memory", time.Since(begin).Seconds(), found, most, peakMemory())
}

// size is how many bytes the files of a folder have.
func size(t *testing.T, folder string) (bytes int64) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	return bytes
}

// peakMemory is the most resident memory of the process, where the system says.
func peakMemory() string {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return "an unknown amount"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "an unknown amount"
}
