package tokenizer

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// goSource is about 20 MB of the Go source text, for benchmarks.
var goSource = sync.OnceValue(func() []string {
	var docs []string
	size := 0
	root := filepath.Join(runtime.GOROOT(), "src")
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || size > 20<<20 {
			return err
		}
		data, err := os.ReadFile(path)
		docs = append(docs, string(data))
		size += len(data)
		return err
	})
	if err != nil {
		panic(err)
	}
	return docs
})

func trainGoSource(b *testing.B, vocab, threads int) *Tokenizer {
	b.Helper()
	tok, _, err := Train(context.Background(), seq(goSource()...), Options{VocabSize: vocab, Threads: threads})
	if err != nil {
		b.Fatal(err)
	}
	return tok
}

func BenchmarkTrain(b *testing.B) {
	size := len(strings.Join(goSource(), ""))
	for name, vocab := range map[string]int{"2048": 2048, "32768": 32768} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				trainGoSource(b, vocab, 1)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	text := strings.Join(goSource(), "")
	zh := strings.Repeat(string(readTestdata(b, "corpus.txt")), 100)
	tok := trainGoSource(b, 32768, 0)
	dst := make([]int32, 0, len(text))
	for name, text := range map[string]string{"code": text, "mixed": zh} {
		b.Run(name+"/warm", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				tok.AppendEncode(dst[:0], text)
			}
		})
	}
	b.Run("code/cold", func(b *testing.B) { // an empty cache for each file
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			for _, doc := range goSource() {
				tok.idle = nil
				tok.AppendEncode(dst[:0], doc)
			}
		}
	})
	b.Run("code/uncached", func(b *testing.B) { // every piece merged anew
		b.SetBytes(int64(len(text)))
		e := tok.borrow()
		for b.Loop() {
			for piece := range Pieces(text) {
				e.piece(dst[:0], piece)
			}
		}
	})
	b.Run("one piece of 1 MB", func(b *testing.B) {
		letters := strings.Repeat("abcdefghijklmnopqrstuvwxyzaeioulnrst", 30000)[:1<<20]
		b.SetBytes(int64(len(letters)))
		for b.Loop() {
			tok.AppendEncode(dst[:0], letters)
		}
	})
	b.Run("pieces", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			for i := 0; i < len(text); {
				i = pieceEnd(text, i)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	files := mustFiles(b, trainGoSource(b, 32768, 0))
	b.SetBytes(int64(len(files[TokenizerFile])))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(files[TokenizerFile]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCut is the cutting alone: by functions of scan.go (gpt-4o, tekken), and by steps.
func BenchmarkCut(b *testing.B) {
	text := strings.Join(goSource()[:40], "")
	for _, name := range []string{"gpt-4o", "tekken", "qwen35", "deepseek-v3", "falcon"} {
		b.Run(name, func(b *testing.B) {
			pre, _ := preTokenizerOf(name)
			d := pre.describe()
			p, err := d.compile(ByteLevelBPE)
			if err != nil {
				b.Fatal(err)
			}
			e := &encoder{t: &Tokenizer{pipeline: p}}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				e.cutBySteps(0, text, func(piece string) {
					for i := 0; i < len(piece); {
						i = p.cut(piece, i)
					}
				})
			}
		})
	}
}
