//go:build unix

package filter

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-b72bdb6c/alma/corpus/langid"
)

// articles are the documents of wikitext-2, where it is.
func articles(b *testing.B) []string {
	b.Helper()
	folder := os.Getenv("ALMA_SHARED_DATA")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "shared", "data")
	}
	data, err := os.ReadFile(filepath.Join(folder, "wikitext-2", "test.txt"))
	if err != nil {
		b.Skipf("no plain text: %v", err)
	}
	var docs []string
	for part := range strings.SplitSeq(string(data), "\n = ") {
		if len(part) > 1000 {
			docs = append(docs, strings.NewReplacer(" ,", ",", " .", ".", " @-@ ", "-", " '", "'", "<unk>", "Thing", " \n", "\n").Replace(part))
		}
	}
	return docs
}

// perCPU runs do on all documents and reports megabytes for each second of the
// processor's time, which other programs do not change as they change the time on
// the clock.
func perCPU(b *testing.B, docs []string, do func(string)) {
	size := 0
	for _, d := range docs {
		size += len(d)
	}
	b.SetBytes(int64(size))
	used := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	start := used()
	for b.Loop() {
		for _, d := range docs {
			do(d)
		}
	}
	b.ReportMetric(float64(b.N)*float64(size)/1e6/(used()-start), "MB/cpu-s")
}

func BenchmarkFineWeb(b *testing.B) {
	docs := articles(b)
	list, err := FineWeb()
	if err != nil {
		b.Fatal(err)
	}
	langid.Default() // is read once in a program's life
	b.Run("list", func(b *testing.B) {
		refused := 0
		perCPU(b, docs, func(d string) {
			if _, refusal := list.Apply(d, Facts{URL: "https://a.example/"}); refusal != nil {
				refused++
			}
		})
		b.ReportMetric(float64(refused)/float64(b.N*len(docs)), "refused")
	})
	for _, f := range everything(b) {
		b.Run(f.Name(), func(b *testing.B) {
			perCPU(b, docs, func(d string) { f.Apply(NewText(d, Facts{URL: "https://a.example/", Language: "en"})) })
		})
	}
}
