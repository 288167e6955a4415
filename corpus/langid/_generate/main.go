// Command _generate trains the model of package langid from the labelled texts
// of the lingua language models, as cargo unpacks them:
//
//	scripts/langid-texts.sh            # says where they lie
//	LANGID_TEXTS=FOLDER go generate ./corpus/langid
//
// Of ten lines, one is held out, on which the model is measured, and of sentences
// another one makes the probabilities true. Lines are counted from each file's
// first one, which is held out.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus/langid"
)

// languages are the names of the packages. Those without a code teach what is
// not known; Malay and Bosnian, which written sentences hardly tell from
// Indonesian and Croatian, are left out.
var languages = map[string]string{
	"afrikaans": "af", "albanian": "sq", "arabic": "ar", "azerbaijani": "az", "basque": "eu", "belarusian": "be", "bokmal": "no",
	"bulgarian": "bg", "catalan": "ca", "chinese": "zh", "croatian": "hr", "czech": "cs", "danish": "da", "dutch": "nl",
	"english": "en", "esperanto": "eo", "estonian": "et", "finnish": "fi", "french": "fr", "ganda": langid.Unknown,
	"german": "de", "hindi": "hi", "hungarian": "hu", "icelandic": "is", "indonesian": "id", "irish": "ga", "italian": "it",
	"japanese": "ja", "kazakh": "kk", "latin": "la", "latvian": "lv", "lithuanian": "lt", "macedonian": "mk", "maori": "mi",
	"marathi": "mr", "mongolian": "mn", "nynorsk": "no", "persian": "fa", "polish": "pl", "portuguese": "pt", "romanian": "ro",
	"russian": "ru", "serbian": "sr", "shona": langid.Unknown, "slovak": "sk", "slovene": "sl", "somali": "so",
	"sotho": langid.Unknown, "spanish": "es", "swahili": "sw", "swedish": "sv", "tagalog": "tl", "tsonga": langid.Unknown,
	"tswana": langid.Unknown, "turkish": "tr", "ukrainian": "uk", "urdu": "ur", "vietnamese": "vi", "welsh": "cy",
	"xhosa": langid.Unknown, "yoruba": "yo", "zulu": langid.Unknown,
	"armenian": "hy", "bengali": "bn", "georgian": "ka", "greek": "el", "gujarati": "gu", "hebrew": "he", "korean": "ko",
	"punjabi": "pa", "tamil": "ta", "telugu": "te", "thai": "th",
}

func main() {
	log.SetFlags(0)
	folder := flag.String("texts", "", "folder that holds lingua-NAME-language-model-VERSION folders")
	out := flag.String("out", "model.bin", "file to write")
	sentences := flag.String("held", "", "file to write some of the held-out sentences to, for tests")
	flag.Parse()
	train, calibration, held := map[string][]string{}, map[string][]string{}, map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(languages)) {
		code := languages[name]
		for _, file := range []string{"sentences.txt", "word-pairs.txt", "single-words.txt"} {
			paths, err := filepath.Glob(filepath.Join(*folder, "lingua-"+name+"-language-model-*", "testdata", file))
			if err != nil {
				log.Fatal(err)
			}
			if len(paths) != 1 {
				log.Fatalf("%d files of %s's %s below %q; run scripts/langid-texts.sh and set LANGID_TEXTS to what it prints", len(paths), name, file, *folder)
			}
			data, err := os.ReadFile(paths[0])
			if err != nil {
				log.Fatal(err)
			}
			for i, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
				switch {
				case i%10 == 0 && file == "sentences.txt":
					held[code] = append(held[code], line)
				case i%10 == 0: // these, too, are nothing to learn from
				case i%10 == 5 && file == "sentences.txt":
					calibration[code] = append(calibration[code], line)
				default:
					train[code] = append(train[code], line)
				}
			}
		}
	}
	if *sentences != "" {
		if err := writeHeld(*sentences, held); err != nil {
			log.Fatal(err)
		}
	}
	m, err := langid.Fit(train, calibration)
	if err != nil {
		log.Fatal(err)
	}
	known := maps.Clone(held)
	delete(known, langid.Unknown)
	report := m.Measure(known)
	unknown := m.Measure(map[string][]string{langid.Unknown: held[langid.Unknown]})
	fmt.Printf("%d languages, %d held-out sentences: %.2f %% right; of %d with at least .65, %.2f %%; other languages known as such: %.1f %%\n",
		len(known), report.Texts, 100*report.Accuracy(), report.Sure, 100*float64(report.SureRight)/float64(report.Sure), 100*unknown.Accuracy())
	type confusion struct {
		what string
		n    int
	}
	var list []confusion
	for what, n := range report.Confusions {
		list = append(list, confusion{what, n})
	}
	slices.SortFunc(list, func(a, b confusion) int {
		if a.n != b.n {
			return b.n - a.n
		}
		return strings.Compare(a.what, b.what)
	})
	for _, c := range list[:min(20, len(list))] {
		fmt.Printf("%3d %s\n", c.n, c.what)
	}
	var packed bytes.Buffer
	if _, err := m.WriteTo(&packed); err != nil {
		log.Fatal(err)
	}
	if err := artifact.WriteFile(*out, packed.Bytes()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d bytes\n", *out, packed.Len())
}

// writeHeld writes the first fifteen held-out sentences of each language, as
// lines of code, tab and text, packed.
func writeHeld(path string, held map[string][]string) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	for _, code := range slices.Sorted(maps.Keys(held)) {
		for _, text := range held[code][:min(15, len(held[code]))] {
			fmt.Fprintf(z, "%s\t%s\n", code, strings.ReplaceAll(text, "\t", " "))
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return artifact.WriteFile(path, packed.Bytes())
}
