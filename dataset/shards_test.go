package dataset

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// writeShards writes documents of the given lengths, end tokens not counted;
// the tokens are 1, 2, 3, … through all of them.
func writeShards(t testing.TB, lengths []int, opts ShardOptions) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "tokens")
	w, err := NewShardWriter(folder, opts)
	if err != nil {
		t.Fatal(err)
	}
	next := int32(0)
	for _, n := range lengths {
		doc := make([]int32, n)
		for i := range doc {
			next++
			doc[i] = next
		}
		if err := w.Append(doc); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}

func open(t testing.TB, folder string) *Shards {
	t.Helper()
	s, err := OpenShards(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func all(t testing.TB, s *Shards) []int32 {
	t.Helper()
	tokens := make([]int32, s.Tokens())
	if err := s.Read(tokens, 0); err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestShardsReadBackWhatWasWritten(t *testing.T) {
	for _, vocab := range []int{100, 1 << 16, 1<<16 + 1} {
		for _, size := range []int64{1, 6, 1 << 20} {
			folder := writeShards(t, []int{3, 0, 5, 1}, ShardOptions{VocabSize: vocab, ShardTokens: size})
			s := open(t, folder)
			want := []int32{1, 2, 3, 0, 0, 4, 5, 6, 7, 8, 0, 9, 0}
			if got := all(t, s); !slices.Equal(got, want) {
				t.Errorf("vocabulary %d, %d a shard: %v, want %v", vocab, size, got, want)
			}
			if start, n := s.Document(2); start != 5 || n != 6 || s.Documents() != 4 {
				t.Errorf("document 2 at %d with %d tokens, %d documents", start, n, s.Documents())
			}
			part := make([]int32, 4)
			if err := s.Read(part, 9); err != nil || !slices.Equal(part, want[9:]) {
				t.Errorf("from 9 on: %v, %v", part, err)
			}
			if err := s.Read(part, 10); err == nil {
				t.Error("reading beyond the end is no error")
			}
			if err := s.Verify(); err != nil {
				t.Error(err)
			}
			if want := map[int64]int{1: 4, 6: 2, 1 << 20: 1}[size]; len(s.Info.Shards) != want {
				t.Errorf("%d tokens a shard made %d shards, want %d", size, len(s.Info.Shards), want)
			}
		}
	}
}

func TestShardBytesAreThoseOfTheFormat(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "s")
	w, err := NewShardWriter(folder, ShardOptions{VocabSize: 2048, EndToken: 0x0102})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range [][]int32{{0x0304, 5}, {}} {
		if err := w.Append(doc); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"00000.bin": "\x04\x03\x05\x00\x02\x01\x02\x01",
		"00000.idx": "\x03\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00",
	} {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(got) != want {
			t.Errorf("%s holds %q, want %q (%v)", name, got, want, err)
		}
	}
}

func TestShardWriterRefusesWhatIsOutsideTheVocabulary(t *testing.T) {
	w, err := NewShardWriter(t.TempDir(), ShardOptions{VocabSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Append([]int32{1, 10}); err == nil {
		t.Error("token 10 of 10 was taken")
	}
	if _, err := w.Close(); err == nil {
		t.Error("Close forgot the error")
	}
	if _, err := NewShardWriter(t.TempDir(), ShardOptions{VocabSize: 10, EndToken: 10}); err == nil {
		t.Error("end token 10 of 10 was taken")
	}
}

func TestShardsWithoutCloseDoNotExist(t *testing.T) {
	folder := t.TempDir()
	w, err := NewShardWriter(folder, ShardOptions{VocabSize: 10, ShardTokens: 2})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.Append([]int32{1}); err != nil {
			t.Fatal(err)
		}
	}
	w.Abort()
	if _, err := OpenShards(folder); artifact.ExitCode(err) != artifact.ErrNotFound.Code() {
		t.Errorf("opening unfinished shards: %v", err)
	}
}

func TestDamagedShardsAreRefused(t *testing.T) {
	change := func(name string, f func([]byte) []byte) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) {
			path := filepath.Join(folder, name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f(data), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	info := func(f func(*ShardsInfo)) func(t *testing.T, folder string) {
		return change(shardsFile, func(data []byte) []byte {
			var s ShardsInfo
			if err := json.Unmarshal(data, &s); err != nil {
				panic(err)
			}
			f(&s)
			data, _ = json.Marshal(s)
			return data
		})
	}
	for name, damage := range map[string]func(*testing.T, string){
		"short tokens":      change("00000.bin", func(b []byte) []byte { return b[:len(b)-1] }),
		"long index":        change("00000.idx", func(b []byte) []byte { return append(b, 0) }),
		"falling index":     change("00000.idx", func(b []byte) []byte { b[0], b[8] = b[8], b[0]; return b }),
		"index past tokens": change("00000.idx", func(b []byte) []byte { b[len(b)-1] = 0xff; return b }),
		"no JSON":           change(shardsFile, func([]byte) []byte { return []byte("{") }),
		"version":           info(func(s *ShardsInfo) { s.Version = 2 }),
		"type":              info(func(s *ShardsInfo) { s.Type = "u32" }),
		"vocabulary":        info(func(s *ShardsInfo) { s.VocabSize = 0 }),
		"end token":         info(func(s *ShardsInfo) { s.EndToken = 1000 }),
		"totals":            info(func(s *ShardsInfo) { s.Tokens++ }),
		"huge count":        info(func(s *ShardsInfo) { s.Shards[0].Tokens = 1 << 62 }),
		"negative count":    info(func(s *ShardsInfo) { s.Shards[0].Documents = -1 }),
		"path for a name":   info(func(s *ShardsInfo) { s.Shards[0].Name = "../00000" }),
	} {
		t.Run(name, func(t *testing.T) {
			folder := writeShards(t, []int{3, 4, 5}, ShardOptions{VocabSize: 100})
			damage(t, folder)
			if _, err := OpenShards(folder); !errors.Is(err, artifact.ErrCorrupt) {
				t.Errorf("opened with %v", err)
			}
		})
	}
	t.Run("a flipped bit", func(t *testing.T) {
		folder := writeShards(t, []int{3, 4, 5}, ShardOptions{VocabSize: 100})
		change("00000.bin", func(b []byte) []byte { b[4] ^= 1; return b })(t, folder)
		if err := open(t, folder).Verify(); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("Verify says %v", err)
		}
	})
	t.Run("an id outside the vocabulary", func(t *testing.T) {
		folder := writeShards(t, []int{3, 4, 5}, ShardOptions{VocabSize: 100})
		change("00000.bin", func(b []byte) []byte { b[5] = 1; return b })(t, folder)
		if err := open(t, folder).Read(make([]int32, 5), 0); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("Read says %v", err)
		}
	})
}

func FuzzOpenShards(f *testing.F) {
	folder := writeShards(f, []int{3, 4}, ShardOptions{VocabSize: 100})
	var seed [3][]byte
	for i, name := range []string{shardsFile, "00000.bin", "00000.idx"} {
		var err error
		if seed[i], err = os.ReadFile(filepath.Join(folder, name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(seed[0], seed[1], seed[2])
	f.Fuzz(func(t *testing.T, info, bin, idx []byte) {
		folder := t.TempDir()
		for name, data := range map[string][]byte{shardsFile: info, "00000.bin": bin, "00000.idx": idx} {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		s, err := OpenShards(folder)
		if err != nil {
			return
		}
		defer s.Close()
		if s.Tokens() > int64(len(bin)) {
			t.Fatalf("%d tokens in %d bytes", s.Tokens(), len(bin))
		}
		_ = s.Read(make([]int32, s.Tokens()), 0)
	})
}

// row reads row i of a fresh stream.
func row(t testing.TB, s *Shards, opts StreamOptions, i uint64) (inputs, targets []int32) {
	t.Helper()
	st, err := NewStream(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	inputs, targets = make([]int32, opts.T), make([]int32, opts.T)
	if err := st.Row(i, inputs, targets); err != nil {
		t.Fatal(err)
	}
	return inputs, targets
}

func TestRowsWithoutShuffleFollowTheDocuments(t *testing.T) {
	s := open(t, writeShards(t, []int{3, 5, 2}, ShardOptions{VocabSize: 100, ShardTokens: 1}))
	// 1 2 3 0 4 5 6 7 8 0 9 10 0
	for i, want := range [][2][]int32{{{1, 2, 3, 0}, {2, 3, 0, 4}}, {{4, 5, 6, 7}, {5, 6, 7, 8}}, {{8, 0, 9, 10}, {0, 9, 10, 0}}, {{1, 2, 3, 0}, {2, 3, 0, 4}}} {
		in, out := row(t, s, StreamOptions{T: 4}, uint64(i))
		if !slices.Equal(in, want[0]) || !slices.Equal(out, want[1]) {
			t.Errorf("row %d: %v → %v, want %v → %v", i, in, out, want[0], want[1])
		}
	}
}

func TestARowDependsOnSeedAndIndexAlone(t *testing.T) {
	lengths := make([]int, 60)
	for i := range lengths {
		lengths[i] = int(compute.Bits(1, 1, uint64(i)) % 40)
	}
	s := open(t, writeShards(t, lengths, ShardOptions{VocabSize: 4000, ShardTokens: 100}))
	opts := StreamOptions{T: 7, Seed: 3, Shuffle: true}
	whole, err := NewStream(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	B := 3*whole.RowsPerEpoch() + 5
	inputs, targets := make([]int32, B*7), make([]int32, B*7)
	if err := whole.Batch(0, inputs, targets); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 17, whole.RowsPerEpoch() - 1, whole.RowsPerEpoch(), 2*whole.RowsPerEpoch() + 3, B - 1} {
		in, out := row(t, s, opts, uint64(i))
		if !slices.Equal(in, inputs[i*7:i*7+7]) || !slices.Equal(out, targets[i*7:i*7+7]) {
			t.Errorf("row %d differs when read alone", i)
		}
	}
	micro := make([]int32, 2*7)
	if err := whole.Batch(11, micro, make([]int32, 2*7)); err != nil || !slices.Equal(micro, inputs[11*7:13*7]) {
		t.Errorf("a batch of 2 rows from 11 on differs (%v)", err)
	}
	other, _ := row(t, s, StreamOptions{T: 7, Seed: 4, Shuffle: true}, 0)
	if slices.Equal(other, inputs[:7]) {
		t.Error("another seed gives the same row")
	}
}

func TestAnEpochHoldsEveryTokenOnce(t *testing.T) {
	s := open(t, writeShards(t, []int{30, 1, 45, 0, 17, 23, 9}, ShardOptions{VocabSize: 200, ShardTokens: 40}))
	opts := StreamOptions{T: 6, Seed: 1, Shuffle: true}
	st, err := NewStream(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	R := st.RowsPerEpoch()
	var firsts [2][]int32
	for epoch := range 2 {
		in, out := make([]int32, R*6), make([]int32, R*6)
		if err := st.Batch(uint64(epoch*R), in, out); err != nil {
			t.Fatal(err)
		}
		seen := map[int32]int{}
		for i, id := range in {
			seen[id]++
			// Within a document the target is the next number, or the end.
			if id != 0 && out[i] != id+1 && out[i] != 0 {
				t.Fatalf("epoch %d: %d is followed by %d", epoch, id, out[i])
			}
		}
		for id, n := range seen {
			if id != 0 && n != 1 {
				t.Errorf("epoch %d: token %d occurs %d times", epoch, id, n)
			}
		}
		if len(in) <= int(s.Tokens())-1-6 {
			t.Errorf("%d tokens in rows of %d", len(in), s.Tokens())
		}
		firsts[epoch] = in
	}
	if slices.Equal(firsts[0], firsts[1]) {
		t.Error("both epochs have the same order")
	}
}

func TestAStreamNeedsARow(t *testing.T) {
	s := open(t, writeShards(t, []int{3}, ShardOptions{VocabSize: 10}))
	if _, err := NewStream(s, StreamOptions{T: 3}); err != nil {
		t.Error(err)
	}
	for _, T := range []int{0, 4} {
		if _, err := NewStream(s, StreamOptions{T: T}); !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("rows of %d positions from 4 tokens: %v", T, err)
		}
	}
}

func TestCountBytesCountsTextAndLeavesOutTheRest(t *testing.T) {
	if n := CountBytes([]int32{0, 1, 2, Ignored, 1}, []int32{0, 3, 5}); n != 11 {
		t.Errorf("%d bytes, want 11", n)
	}
}

func BenchmarkBatch(b *testing.B) {
	lengths := make([]int, 500)
	for i := range lengths {
		lengths[i] = 1000
	}
	s := open(b, writeShards(b, lengths, ShardOptions{VocabSize: 1 << 20}))
	st, err := NewStream(s, StreamOptions{T: 256, Shuffle: true})
	if err != nil {
		b.Fatal(err)
	}
	in, out := make([]int32, 8*256), make([]int32, 8*256)
	b.SetBytes(8 * 256 * 4)
	for i := range b.N {
		if err := st.Batch(uint64(i*8)%1900, in, out); err != nil {
			b.Fatal(err)
		}
	}
}

func TestShardsAreReusedOnlyWholeAndOfTheSameSource(t *testing.T) {
	opts := ShardOptions{VocabSize: 100, Source: "a", ShardTokens: 4}
	flip := func(t *testing.T, folder string) {
		path := filepath.Join(folder, "00000.bin")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[0] ^= 1
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, source string
		damage       func(t *testing.T, folder string)
		reused, says bool
	}{
		{"the same", "a", func(*testing.T, string) {}, true, false},
		{"another source", "b", func(*testing.T, string) {}, false, false},
		{"a flipped bit", "a", flip, false, true},
		{"not closed", "a", func(t *testing.T, folder string) { os.Remove(filepath.Join(folder, "shards.json")) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := writeShards(t, []int{3, 4, 5}, opts)
			tt.damage(t, folder)
			shards, damage, err := ReuseShards(folder, tt.source)
			if err != nil || (shards != nil) != tt.reused || (damage != nil) != tt.says {
				t.Errorf("shards %v, damage %v, error %v", shards, damage, err)
			}
			if shards != nil {
				shards.Close()
			} else if _, err := os.Stat(folder); err == nil {
				t.Error("what cannot be used is still there")
			}
		})
	}
}
