package corpus

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/corpus/filter"
)

func write(t testing.TB, folder string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func gz(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

func zst(text string) string {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

func readAll(t testing.TB, s Source) (docs []Document, refused []Refusal) {
	t.Helper()
	err := s.Read(context.Background(),
		func(d Document) error { docs = append(docs, d); return nil },
		func(r Refusal) { refused = append(refused, r) })
	if err != nil {
		t.Fatal(err)
	}
	return docs, refused
}

func TestFolderYieldsTextAndLinesInOrderOfPaths(t *testing.T) {
	root := write(t, t.TempDir(), map[string]string{
		"b.txt":         "\ufeffbee",
		"a/z.md":        "zed",
		"a/l.jsonl":     "{\"text\":\"one\",\"other\":[1]}\n\n{\"text\":\"tw\\u00f6\",\"group\":\"g\"}\r\n{\"text\":\"\\ud83d\\ude00\",\"group\":7}",
		"c.jsonl.gz":    gz("{\"text\":\"packed\"}\n"),
		"e.json":        "{\"text\":\"lines\"}\n{\"text\":\"too\"}\n",
		"f.json":        "{\"name\":\"settings\"}\n",
		"d.txt.zst":     zst("also packed"),
		".git/config":   "hidden",
		"a/.hidden.txt": "hidden",
	})
	docs, refused := readAll(t, Folder{Root: root})
	var got []string
	for _, d := range docs {
		got = append(got, d.ID+"="+d.Text+"/"+d.Group)
	}
	want := []string{"a/l.jsonl:1=one/", "a/l.jsonl:3=twö/g", "a/l.jsonl:4=😀/", "a/z.md=zed/", "b.txt=bee/", "c.jsonl.gz:1=packed/", "d.txt.zst=also packed/", "e.json:1=lines/", "e.json:2=too/", "f.json={\"name\":\"settings\"}\n/"}
	if !slices.Equal(got, want) {
		t.Errorf("documents %q, want %q", got, want)
	}
	if len(refused) != 2 || refused[0].Reason != Hidden || refused[1].Reason != Hidden {
		t.Errorf("refused %v", refused)
	}
	docs, _ = readAll(t, Folder{Root: filepath.Join(root, "b.txt")})
	if len(docs) != 1 || docs[0].ID != "b.txt" {
		t.Errorf("a single file gave %v", docs)
	}
}

func TestFolderCutsAtParagraphsLinesAndCharacters(t *testing.T) {
	root := write(t, t.TempDir(), map[string]string{"t.txt": "one.\n\ntwo\nthree four\nßßßßßßßß"})
	docs, _ := readAll(t, Folder{Root: root, Cut: 13})
	var parts []string
	for _, d := range docs {
		parts = append(parts, d.Text)
	}
	want := []string{"one.\n\n", "two\n", "three four\n", "ßßßßßß", "ßß"}
	if !slices.Equal(parts, want) || docs[1].ID != "t.txt#2" {
		t.Errorf("parts %q, want %q", parts, want)
	}
}

func TestHostileFilesAreRefusedWithPlaceAndReason(t *testing.T) {
	deep := strings.Repeat("[", 20000)
	for _, c := range []struct {
		name, text string
		reason     Reason
		offset     int64
		docs       int
	}{
		{"nul.txt", "ab\x00c", Binary, 2, 0},
		{"bad.txt", "ab\xffc", BadUTF8, 2, 0},
		{"half.txt", "a\xe2\x82", BadUTF8, 1, 0},
		{"big.txt", strings.Repeat("x", 2001), TooLarge, 2000, 0},
		{"long.jsonl", "{\"text\":\"" + strings.Repeat("x", 9000) + "\"}\n{\"text\":\"after\"}", TooLarge, 0, 1},
		{"syntax.jsonl", "{\"text\":\"a\"}\n{\"text\":b}\n", BadJSON, 21, 1},
		{"deep.jsonl", deep + "\n{\"text\":\"after\"}", TooLarge, 0, 1},
		{"deepish.jsonl", deep[:1500], BadJSON, 1499, 0},
		{"none.jsonl", "{\"txt\":\"a\"}", NoText, 0, 0},
		{"type.jsonl", "{\"text\":3}", NoText, 0, 0},
		{"null.jsonl", "{\"text\":null}", NoText, 0, 0},
		{"array.jsonl", "[1]", BadJSON, 0, 0},
		{"utf8.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\xff\"}", BadUTF8, 22, 1},
		{"surrogate.jsonl", `{"text":"a\ud800b"}`, BadUTF8, 0, 0},
		{"lowsurrogate.jsonl", `{"text":"\\\udc00"}`, BadUTF8, 0, 0},
		{"nul.jsonl", `{"text":"\u0000"}`, Binary, 0, 0},
		{"no.gz", "this is not gzip", BadArchive, 0, 0},
		{"cut.txt.gz", gz(strings.Repeat("text ", 90))[:20], BadArchive, 0, 0},
		{"flip.txt.gz", func() string { b := []byte(gz("hello, world")); b[len(b)-6] ^= 1; return string(b) }(), BadArchive, 12, 0},
		{"bomb.txt.gz", gz(strings.Repeat("\n", 4<<20)), TooLarge, 2000, 0},
		{"bomb.jsonl.gz", gz(strings.Repeat("\n", 4<<20)), Bomb, 0, 0},
		{"bomb.jsonl.zst", zst(strings.Repeat("\n", 4<<20)), Bomb, 0, 0},
		{"no.zst", "this is not zstd", BadArchive, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs, refused := readAll(t, Folder{Root: write(t, t.TempDir(), map[string]string{c.name: c.text}), MaxDocument: 2000})
			if len(refused) != 1 || len(docs) != c.docs {
				t.Fatalf("%d documents, refused %v", len(docs), refused)
			}
			r := refused[0]
			if r.Reason != c.reason || r.File != c.name || c.reason != Bomb && !strings.HasPrefix(c.name, "cut") && r.Offset != c.offset {
				t.Errorf("refused %+v, want %s at %d", r, c.reason, c.offset)
			}
		})
	}
}

func TestUnpackingBeyondASizeIsRefused(t *testing.T) {
	root := write(t, t.TempDir(), map[string]string{"a.jsonl.gz": gz("{\"text\":\"first\"}\n" + strings.Repeat("0123456789\n", 1000))})
	docs, refused := readAll(t, Folder{Root: root, MaxUnpacked: 500})
	if len(docs) > 1 || len(refused) == 0 || refused[len(refused)-1].Reason != Bomb {
		t.Errorf("%d documents, last refusal %v", len(docs), refused)
	}
}

func TestAThousandDamagedFilesNeitherCrashNorStopTheJob(t *testing.T) {
	seeds := []string{"plain text\n\nmore", "{\"text\":\"a \\ud83d\\ude00 b\",\"group\":\"g\"}\n{\"text\":\"c\"}\n", gz("{\"text\":\"packed\"}\n"), zst("{\"text\":\"packed\"}\n")}
	names := []string{"%04d.txt", "%04d.jsonl", "%04d.jsonl.gz", "%04d.jsonl.zst"}
	files := map[string]string{"zzz.txt": "the last file is whole"}
	stream := compute.Stream("damage")
	for i := range 1200 {
		data := []byte(seeds[i%len(seeds)])
		for k := range uint64(3) {
			bits := compute.Bits(1, stream, uint64(i)*4+k)
			data[bits%uint64(len(data))] ^= byte(bits >> 32)
		}
		if bits := compute.Bits(1, stream, uint64(i)*4+3); bits%3 == 0 {
			data = data[:bits>>8%uint64(len(data))%uint64(len(data)+1)]
		}
		files[fmt.Sprintf(names[i%len(names)], i)] = string(data)
	}
	docs, refused := readAll(t, Folder{Root: write(t, t.TempDir(), files)})
	if len(docs) == 0 || docs[len(docs)-1].ID != "zzz.txt" {
		t.Error("the whole file after the damaged ones was not read")
	}
	if len(refused) < 300 {
		t.Errorf("only %d refusals", len(refused))
	}
	for _, r := range refused {
		if r.File == "" || r.Reason == "" {
			t.Fatalf("refusal without place or reason: %+v", r)
		}
	}
}

func TestALongLineTakesBoundedMemory(t *testing.T) {
	root := t.TempDir()
	file, err := os.Create(filepath.Join(root, "a.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range 64 {
		if _, err := file.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, refused := readAll(t, Folder{Root: root, MaxDocument: 1 << 20})
	runtime.ReadMemStats(&after)
	if len(refused) != 1 || refused[0].Reason != TooLarge || refused[0].Bytes != 64<<20 {
		t.Errorf("refused %v", refused)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("reading allocated %d bytes", used)
	}
}

func TestBuildDropsDuplicatesAndSplitsByGroup(t *testing.T) {
	files := map[string]string{}
	for i := range 400 {
		files[fmt.Sprintf("f%03d.txt", i)] = fmt.Sprintf("text number %d", i)
	}
	files["g.txt"] = "text   number 7\r\n" // as f007.txt but for white space
	files["h.txt"] = " \n"
	root := write(t, t.TempDir(), files)
	for _, compress := range []bool{false, true} {
		out := t.TempDir()
		report, err := Build(context.Background(), []Source{Folder{Root: root}}, Options{Out: out, Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		if report.RefusedFor(Duplicate) != 1 || report.RefusedFor(TooSmall) != 1 {
			t.Errorf("refused %+v", report.Refused)
		}
		total := 0
		for _, split := range Splits {
			s := report.Of(split)
			n, size := 0, int64(0)
			for d, err := range Documents(filepath.Join(out, s.File)) {
				if err != nil {
					t.Fatal(err)
				}
				if DefaultShares.Of(d.Group) != split || d.ID == "g.txt" {
					t.Errorf("%s in %s", d.ID, split)
				}
				n++
				size += int64(len(d.Text))
			}
			if n != s.Documents || size != s.Bytes || n == 0 || s.Groups != n {
				t.Errorf("%s: file holds %d documents of %d bytes, report says %+v", split, n, size, s)
			}
			total += n
		}
		if total != 400 || report.Of(Test).Documents > 40 || report.Of(Train).HeldOut != nil || len(report.Of(Test).HeldOut) != report.Of(Test).Groups {
			t.Errorf("%d documents, %+v", total, report.Splits)
		}
		again, err := ReadReport(out)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(report)
		b, _ := json.Marshal(again)
		if !bytes.Equal(a, b) {
			t.Errorf("report.json says %s, Build returned %s", b, a)
		}
		repeat, err := Build(context.Background(), []Source{Folder{Root: root}}, Options{Out: t.TempDir(), Compress: compress})
		if err != nil {
			t.Fatal(err)
		}
		if repeat.Of(Train).SHA256 != report.Of(Train).SHA256 {
			t.Error("the same input gave other bytes")
		}
	}
}

func TestBuildOfNothingIsAnErrorWithTheRemedy(t *testing.T) {
	for name, files := range map[string]map[string]string{"empty": {}, "binary": {"a.bin": "\x00"}} {
		out := t.TempDir()
		_, err := Build(context.Background(), []Source{Folder{Root: write(t, t.TempDir(), files)}}, Options{Out: out})
		if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "name a folder with text") {
			t.Errorf("%s: %v", name, err)
		}
		left := 0
		filepath.WalkDir(out, func(_ string, d fs.DirEntry, _ error) error {
			if !d.IsDir() {
				left++
			}
			return nil
		})
		if left > 0 {
			t.Errorf("%s: %d files were left behind", name, left)
		}
	}
	_, err := Build(context.Background(), []Source{Folder{Root: filepath.Join(t.TempDir(), "absent")}}, Options{Out: t.TempDir()})
	if artifact.ExitCode(err) != artifact.ErrNotFound.Code() {
		t.Errorf("a folder that is not there: %v", err)
	}
	_, err = Build(context.Background(), nil, Options{Out: t.TempDir(), Shares: &Shares{Test: 1.5}})
	if !errors.Is(err, artifact.ErrUsage) {
		t.Errorf("a share of 1.5: %v", err)
	}
}

func TestDocumentsNamesTheDamagedLine(t *testing.T) {
	for text, want := range map[string]string{
		"{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":":   "line 2: the last line has no end",
		"{\"id\":\"a\",\"text\":\"x\"}\nnonsense\n": "line 2: invalid character",
	} {
		path := filepath.Join(write(t, t.TempDir(), map[string]string{"d.jsonl": text}), "d.jsonl")
		n := 0
		var last error
		for _, err := range Documents(path) {
			if err == nil {
				n++
			}
			last = err
		}
		if n != 1 || !errors.Is(last, artifact.ErrCorrupt) || !strings.Contains(fmt.Sprint(last), want) {
			t.Errorf("%q: %d documents, then %v", text, n, last)
		}
	}
}

func TestSharesAreKeptAndIndependent(t *testing.T) {
	shares := Shares{Validation: .2, Test: .1}
	wide := Shares{Validation: .5, Test: .1}
	count := map[Split]int{}
	for i := range 20000 {
		group := fmt.Sprintf("group/%d", i)
		s := shares.Of(group)
		count[s]++
		if w := wide.Of(group); (s == Test) != (w == Test) || s == Validation && w != Validation {
			t.Fatalf("%s moved from %s to %s when the validation share grew", group, s, w)
		}
	}
	for split, want := range map[Split]float64{Test: .1, Validation: .2, Train: .7} {
		if got := float64(count[split]) / 20000; math.Abs(got-want) > .01 {
			t.Errorf("share of %s is %.3f, want %.3f", split, got, want)
		}
	}
	for _, bad := range []Shares{{Test: -1}, {Validation: 1}, {Test: .6, Validation: .4}, {Test: math.NaN()}} {
		if bad.Check() == nil {
			t.Errorf("shares %+v were taken", bad)
		}
	}
}

func FuzzFolderLines(f *testing.F) {
	f.Add([]byte("{\"text\":\"a\"}\n{\"text\":\"\\ud800\"}"), ".jsonl")
	f.Add([]byte(gz("{\"text\":\"a\"}\n")), ".jsonl.gz")
	f.Add([]byte(zst("{\"text\":\"a\"}\n")), ".jsonl.zst")
	f.Add([]byte("text"), ".txt")
	f.Fuzz(func(t *testing.T, data []byte, ext string) {
		if !slices.Contains([]string{".txt", ".jsonl", ".txt.gz", ".jsonl.gz", ".txt.zst", ".jsonl.zst"}, ext) {
			return
		}
		docs, _ := readAll(t, Folder{Root: write(t, t.TempDir(), map[string]string{"f" + ext: string(data)}), MaxDocument: 1 << 16, Cut: 1 << 10})
		for _, d := range docs {
			if reason, _ := checkText(d.Text); reason != "" {
				t.Fatalf("%s was let through: %q", reason, d.Text)
			}
		}
	})
}

func TestFiltersJudgeInTheirOrderAndSayWhy(t *testing.T) {
	sentence := "The people of the town have been waiting for this for a long time, and that is all there is to say. "
	long := strings.Repeat(sentence, 1) + "There were boats in the harbour, and children with their fathers who had come to see them go. " +
		"Nobody knew at what hour they would leave; the mayor, who should have known, was asleep. At noon it began to rain."
	folder := write(t, t.TempDir(), map[string]string{
		"good.txt":  long,
		"mail.txt":  strings.Replace(long, "the mayor", "jane.doe@smith.net", 1),
		"short.txt": "Home. Menu. Click here.",
		"de.txt":    "Die Leute der Stadt haben lange darauf gewartet, und das ist alles, was es dazu zu sagen gibt. Niemand wusste, wann sie fahren.",
		"code.go":   "package main\n\nfunc main() {}\n",
	})
	var list filter.List
	for _, text := range []string{"language", "gopher_quality min_words=40", "personal"} {
		spec, err := filter.ParseSpec(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, spec.Filter())
	}
	out := t.TempDir()
	report, err := Build(t.Context(), []Source{Folder{Root: folder}}, Options{Out: out, Shares: &Shares{}, Filters: list})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{}
	for d, err := range Documents(filepath.Join(out, report.Of(Train).File)) {
		if err != nil {
			t.Fatal(err)
		}
		kept[d.ID] = d.Text
	}
	if len(kept) != 3 || kept["good.txt"] != long || kept["code.go"] == "" || strings.Contains(kept["mail.txt"], "jane.doe") || kept["mail.txt"] == "" {
		t.Errorf("kept are %q", kept)
	}
	reasons := map[string]string{}
	for _, r := range report.Refused {
		for _, x := range r.Examples {
			reasons[x.File] = string(r.Reason)
			if !strings.Contains(x.Detail, " is at least ") {
				t.Errorf("%s was refused without what was measured: %q", x.File, x.Detail)
			}
		}
	}
	if reasons["de.txt"] != "language: none that is wanted" || reasons["short.txt"] == "" || len(reasons) != 2 {
		t.Errorf("refused are %v", reasons)
	}
}
