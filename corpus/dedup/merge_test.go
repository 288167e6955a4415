package dedup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/faultfs"
)

func TestRecordsAreSortedByTheirBytes(t *testing.T) {
	random := newRandom(5)
	for _, width := range []int{1, 7, 22, 40} {
		for _, values := range []int{1, 2, 256} { // different bytes: many records are equal, or share their beginning
			for _, n := range []int{0, 1, 2, 30, 5000} {
				data := make([]byte, n*width)
				for i := range data {
					data[i] = byte(random.IntN(values))
				}
				var want [][]byte
				for record := range slices.Chunk(bytes.Clone(data), width) {
					want = append(want, record)
				}
				slices.SortFunc(want, bytes.Compare)
				sortRecords(data, width)
				if !bytes.Equal(data, slices.Concat(want...)) {
					t.Errorf("%d records of %d bytes of %d values are not sorted", n, width, values)
				}
			}
		}
	}
}

// A document of a test: its position, and what it shares with others.
type document struct {
	at    Position
	key   Key
	bands []uint64
}

// documents returns n documents of a few sources, of which most have company: few
// different hashes.
func documents(n int, random *rand.Rand) []document {
	var all []document
	for i := range n {
		d := document{at: Position{Source: uint32(i % 3), Document: uint64(i/3) * 1000}, bands: make([]uint64, 4)}
		binary.BigEndian.PutUint64(d.key[:], uint64(random.IntN(n)))
		for band := range d.bands {
			d.bands[band] = uint64(random.IntN(3*n)) * 0x9e3779b97f4a7c15
		}
		if i%17 == 0 {
			d.bands = nil // has no words
		}
		all = append(all, d)
	}
	return all
}

var fourBands = MinHash{Bands: 4}

// wantExact and wantNear say what repeats what, without files: by looking at every
// pair, and at every group until none changes.
func wantExact(all []document) (want []Duplicate) {
	for _, d := range all {
		first := d.at
		for _, other := range all {
			if other.key == d.key && other.at.Compare(first) < 0 {
				first = other.at
			}
		}
		if first != d.at {
			want = append(want, Duplicate{d.at, first})
		}
	}
	return inOrder(want)
}

func wantNear(all []document) (want []Duplicate) {
	first := make([]Position, len(all))
	for i, d := range all {
		first[i] = d.at
	}
	for changed := true; changed; {
		changed = false
		for i, a := range all {
			for j, b := range all {
				for band := range min(len(a.bands), len(b.bands)) {
					if a.bands[band] == b.bands[band] && first[i].Compare(first[j]) < 0 {
						first[j] = first[i]
						changed = true
					}
				}
			}
		}
	}
	for i, d := range all {
		if first[i] != d.at {
			want = append(want, Duplicate{d.at, first[i]})
		}
	}
	return inOrder(want)
}

func inOrder(all []Duplicate) []Duplicate {
	slices.SortFunc(all, func(a, b Duplicate) int { return a.At.Compare(b.At) })
	return all
}

// write leaves record files of keys and bands, each worker's of some documents.
func write(folder string, all []document, workers int, o Options) (keys, bands []string, err error) {
	for worker := range workers {
		keys = append(keys, filepath.Join(folder, fmt.Sprintf("%d.keys", worker)))
		bands = append(bands, filepath.Join(folder, fmt.Sprintf("%d.bands", worker)))
		if err := writeShard(keys[worker], bands[worker], all, worker, workers, o); err != nil {
			return nil, nil, err
		}
	}
	return keys, bands, nil
}

func writeShard(keys, bands string, all []document, worker, workers int, o Options) error {
	k, err := createKeys(keys, o)
	if err != nil {
		return err
	}
	defer k.Abort()
	b, err := createBands(bands, fourBands, o)
	if err != nil {
		return err
	}
	defer b.Abort()
	for i := worker; i < len(all); i += workers {
		if err := k.Add(all[i].key, all[i].at); err != nil {
			return err
		}
		if err := b.Add(all[i].bands, all[i].at); err != nil {
			return err
		}
	}
	if err := k.Commit(); err != nil {
		return err
	}
	return b.Commit()
}

// collect reads a sequence to its end.
func collect(seq func(func(Duplicate, error) bool)) (all []Duplicate, err error) {
	for d, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, d)
	}
	return all, nil
}

func names(t testing.TB, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestTheFirstOfRepeatsStaysWhateverWorkersAndMemory(t *testing.T) {
	for _, n := range []int{0, 1, 2, 400} {
		random := newRandom(uint64(n))
		all := documents(n, random)
		exact, near := wantExact(all), wantNear(all)
		if n == 400 && (len(exact) < 100 || len(near) < 100 || len(near) > 350) {
			t.Fatalf("%d exact and %d near duplicates make no good test", len(exact), len(near))
		}
		for _, workers := range []int{1, 2, 7, 40} {
			folder := t.TempDir()
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			keys, bands, err := write(folder, append(all, all[:len(all)/9]...), workers, Options{}) // some twice
			if err != nil {
				t.Fatal(err)
			}
			before := names(t, folder)
			for _, memory := range []int64{0, MinMemory} {
				o := Options{Folder: folder, Memory: memory}
				if got, err := collect(Exact(t.Context(), keys, o)); err != nil || !slices.Equal(got, exact) {
					t.Errorf("%d documents by %d workers, memory %d: exact %v, %v; want %v", n, workers, memory, got, err, exact)
				}
				if got, err := collect(Near(t.Context(), bands, fourBands, o)); err != nil || !slices.Equal(got, near) {
					t.Errorf("%d documents by %d workers, memory %d: near %v, %v; want %v", n, workers, memory, got, err, near)
				}
			}
			if after := names(t, folder); !slices.Equal(before, after) {
				t.Errorf("left %v, before there were %v", after, before)
			}
		}
	}
}

func TestParagraphsRepeatWithinADocumentToo(t *testing.T) {
	folder := t.TempDir()
	w, err := CreateKeys(filepath.Join(folder, "keys"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for document, text := range []string{"Contact us.\n\nNews.\n\nContact  us.", "Other.\n\nContact us."} {
		part := uint32(0)
		for _, paragraph := range Paragraphs(text) {
			if err := w.Add(KeyOf(paragraph), Position{Document: uint64(document), Part: part}); err != nil {
				t.Fatal(err)
			}
			part++
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	got, err := collect(Exact(t.Context(), []string{filepath.Join(folder, "keys")}, Options{Folder: folder}))
	if want := []Duplicate{{At: Position{Part: 2}}, {At: Position{Document: 1, Part: 1}}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestNearCopiesOfATextAreFound(t *testing.T) {
	folder := t.TempDir()
	s := signer(t, MinHash{})
	w, err := CreateBands(filepath.Join(folder, "bands"), MinHash{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	english := prose(3000, 8)
	chinese := "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。寒來暑往，秋收冬藏。閏餘成歲，律呂調陽。雲騰致雨，露結為霜。金生麗水，玉出崑岡。劍號巨闕，珠稱夜光。果珍李柰，菜重芥薑。"
	for i, text := range []string{
		english, prose(3000, 9), chinese, strings.ToUpper(english) + "The end.", "", prose(3000, 10),
		strings.ReplaceAll(chinese, "，", " ") + "完", strings.Replace(english, "and so on", "and so forth", 1), "",
	} {
		if err := w.Add(s.Sign(text, nil), Position{Document: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	got, err := collect(Near(t.Context(), []string{filepath.Join(folder, "bands")}, MinHash{}, Options{Folder: folder}))
	want := []Duplicate{{At: Position{Document: 3}}, {Position{Document: 6}, Position{Document: 2}}, {At: Position{Document: 7}}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestWhatCannotBeRecordedIsRefused(t *testing.T) {
	w, err := CreateBands(filepath.Join(t.TempDir(), "bands"), fourBands, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Add(make([]uint64, 4), Position{Part: 1}); err == nil {
		t.Error("a paragraph was taken for a document")
	}
	if err := w.Add(make([]uint64, 14), Position{}); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("14 bands in a file of 4: %v", err)
	}
	if _, err := CreateKeys(filepath.Join(t.TempDir(), "keys"), 1000); !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("1000 bytes of memory: %v", err)
	}
}

func TestFilesOfAnotherKindOrConfigurationAreNotMixed(t *testing.T) {
	folder := t.TempDir()
	keys, bands, err := write(folder, documents(20, newRandom(1)), 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Folder: folder}
	for what, seq := range map[string]func(func(Duplicate, error) bool){
		"keys as bands":           Near(t.Context(), keys, fourBands, o),
		"bands as keys":           Exact(t.Context(), bands, o),
		"bands of other rows":     Near(t.Context(), bands, MinHash{Bands: 4, Rows: 9}, o),
		"bands of other shingles": Near(t.Context(), bands, MinHash{Bands: 4, Shingle: 6}, o),
	} {
		if got, err := collect(seq); !errors.Is(err, artifact.ErrUsage) || len(got) > 0 {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	if _, err := collect(Exact(t.Context(), []string{filepath.Join(folder, "none")}, o)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// nearOf merges one record file of bands that holds these bytes.
func nearOf(t testing.TB, data []byte) ([]Duplicate, error) {
	t.Helper()
	disk := artifact.Disk{FS: faultfs.NewMemory()}
	if err := disk.WriteFile("bands", data); err != nil {
		t.Fatal(err)
	}
	all, err := collect(Near(t.Context(), []string{"bands"}, fourBands, Options{Folder: ".", disk: &disk}))
	if entries, _ := disk.FS.ReadDir("."); len(entries) != 1 {
		t.Errorf("left %v", entries)
	}
	return all, err
}

// recordFile returns the bytes of a record file of bands.
func recordFile(t testing.TB, n int) []byte {
	t.Helper()
	memory := faultfs.NewMemory()
	if _, _, err := write(".", documents(n, newRandom(1)), 1, Options{Memory: MinMemory, disk: &artifact.Disk{FS: memory}}); err != nil {
		t.Fatal(err)
	}
	data, err := memory.ReadFile("0.bands")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestADamagedRecordFileIsSeen(t *testing.T) {
	whole := recordFile(t, 20)
	check := func(what string, data []byte) {
		t.Helper()
		if _, err := nearOf(t, data); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range whole {
		for _, bit := range []byte{1, 0x80} {
			damaged := bytes.Clone(whole)
			damaged[i] ^= bit
			check(fmt.Sprintf("bit %#x of byte %d is another", bit, i), damaged)
		}
		check(fmt.Sprintf("cut at %d", i), whole[:i])
	}
	check("a byte more", append(bytes.Clone(whole), 0))
}

// Whatever a record file holds, it is an error or records; memory follows its size.
func FuzzRecordFile(f *testing.F) {
	f.Add([]byte{}, true)
	for _, n := range []int{0, 3, 1500} {
		f.Add(recordFile(f, n), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal && len(data) >= headerBytes+tailBytes { // or hardly any input comes past the sum
			count := min(binary.BigEndian.Uint64(data[len(data)-tailBytes:]), uint64(len(data)-headerBytes-tailBytes)/entryBytes)
			table := data[len(data)-tailBytes-int(count)*entryBytes : len(data)-8]
			data = bytes.Clone(data)
			binary.BigEndian.PutUint64(data[len(data)-8:], xxh3.Hash(append(bytes.Clone(data[:headerBytes]), table...)))
		}
		all, err := nearOf(t, data)
		if err != nil && !errors.Is(err, artifact.ErrCorrupt) && !errors.Is(err, artifact.ErrUsage) {
			t.Error(err)
		}
		if !slices.IsSortedFunc(all, func(a, b Duplicate) int { return a.At.Compare(b.At) }) {
			t.Errorf("not in order: %v", all)
		}
	})
}

func TestAStopEndsTheMerge(t *testing.T) {
	folder := t.TempDir()
	keys, _, err := write(folder, documents(200, newRandom(1)), 2, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := collect(Exact(ctx, keys, Options{Folder: folder})); !errors.Is(err, context.Canceled) {
		t.Errorf("after a stop: %v", err)
	}
	for range Exact(t.Context(), keys, Options{Folder: folder}) {
		break // and no more is yielded, nor left
	}
	if after := names(t, folder); len(after) != 4 {
		t.Errorf("left %v", after)
	}
}

// whole does all of the work on a disk and returns what is found.
func whole(disk *artifact.Disk, all []document) (result [2][]Duplicate, err error) {
	o := Options{Folder: ".", Memory: MinMemory, disk: disk}
	keys, bands, err := write(".", all, 3, o)
	if err != nil {
		return result, err
	}
	if result[0], err = collect(Exact(context.Background(), keys, o)); err != nil {
		return result, err
	}
	result[1], err = collect(Near(context.Background(), bands, fourBands, o))
	return result, err
}

func TestADiskThatFailsGivesAnErrorAndNoTemporaryStays(t *testing.T) {
	all := documents(6000, newRandom(3)) // enough to spill
	want, err := whole(&artifact.Disk{FS: faultfs.NewMemory()}, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []faultfs.Fault{faultfs.NoSpace, faultfs.IOError, faultfs.ShortWrite} {
		for at := 1; ; at += 1 + at/12 { // every call of the first dozen, then fewer
			memory := faultfs.NewMemory()
			failing := &faultfs.Failing{FS: memory, Fault: fault, At: at, Sticky: at%2 == 0}
			got, err := whole(&artifact.Disk{FS: failing}, all)
			if !failing.Failed() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			// What fails while a temporary is removed takes nothing from the result.
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("fault %d at call %d: no error, and another result", fault, at)
			}
			if err != nil && fault == faultfs.NoSpace && !errors.Is(err, artifact.ErrNoSpace) && !strings.Contains(err.Error(), "input/output") {
				t.Errorf("fault %d at call %d: %v", fault, at, err)
			}
			if resynced := failing.Resynced(); len(resynced) > 0 {
				t.Errorf("fault %d at call %d: %v synced again", fault, at, resynced)
			}
			// The next start cleans and does the work.
			disk := &artifact.Disk{FS: memory}
			if _, err := disk.CleanTemporaries("."); err != nil {
				t.Fatal(err)
			}
			if got, err := whole(disk, all); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("fault %d at call %d: after another start %v", fault, at, err)
			}
			entries, err := memory.ReadDir(".")
			if err != nil || len(entries) != 6 {
				t.Errorf("fault %d at call %d: left %v, %v", fault, at, entries, err)
			}
		}
	}
}

// With workerVariable set the test binary does the work in the folder that it names,
// as a stage does: it cleans, makes the record files that are not there, merges and
// writes the result.
const workerVariable = "ALMA_DEDUP_TEST_WORKER"

func TestMain(m *testing.M) {
	folder := os.Getenv(workerVariable)
	if folder == "" {
		os.Exit(m.Run())
	}
	err := artifact.ArmFailpointFromEnvironment()
	if err == nil {
		err = work(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(artifact.ExitCode(err))
}

func work(folder string) error {
	if _, err := artifact.CleanTemporaries(folder); err != nil {
		return err
	}
	const workers = 3
	all := documents(6000, newRandom(3))
	o := Options{Folder: folder, Memory: MinMemory}
	var keys, bands []string
	for worker := range workers {
		k, b := filepath.Join(folder, fmt.Sprintf("%d.keys", worker)), filepath.Join(folder, fmt.Sprintf("%d.bands", worker))
		if _, err := os.Stat(b); errors.Is(err, fs.ErrNotExist) { // bands are written last
			if err := writeShard(k, b, all, worker, workers, o); err != nil {
				return err
			}
		}
		keys, bands = append(keys, k), append(bands, b)
	}
	var result bytes.Buffer
	for _, seq := range []func(func(Duplicate, error) bool){Exact(context.Background(), keys, o), Near(context.Background(), bands, fourBands, o)} {
		for d, err := range seq {
			if err != nil {
				return err
			}
			fmt.Fprintln(&result, d)
		}
	}
	return artifact.WriteFile(filepath.Join(folder, "result"), result.Bytes())
}

func TestTheResultIsTheSameAfterAnyKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(folder, failpoint string) error {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), workerVariable+"="+folder, artifact.FailpointVariable+"="+failpoint)
		out, err := cmd.CombinedOutput()
		if err != nil && len(out) > 0 {
			t.Errorf("%s: %s", failpoint, out)
		}
		return err
	}
	straight := t.TempDir()
	if err := run(straight, ""); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(straight, "result"))
	if err != nil || len(want) == 0 {
		t.Fatalf("%d bytes, %v", len(want), err)
	}
	kills := 0
	for each := 1; each < 400; each = 2*each + 3 { // each start is killed at so many failpoints
		folder := t.TempDir()
		for start := 1; ; start++ {
			failpoint := fmt.Sprintf("any:%d", each*start)
			if run(folder, failpoint) == nil {
				break
			}
			kills++
			if start > 600 {
				t.Fatalf("killed at failpoint %s and the work does not end", failpoint)
			}
		}
		got, err := os.ReadFile(filepath.Join(folder, "result"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("killed at every %d failpoints: another result, %v", each, err)
		}
		if left := names(t, folder); !slices.Equal(left, names(t, straight)) {
			t.Errorf("killed at every %d failpoints: left %v", each, left)
		}
	}
	t.Logf("%d kills", kills)
}
