// Command _oracle applies filters, one by one, to documents for
// scripts/filters-oracle.sh. It reads lines of JSON with a "text" and a
// "language" from its standard input, and writes for each a line: an object from
// the filter's name to the reason for which it refuses, "" where it does not, and
// as "personal_text" and "c4_text" what these leave.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	"github.com/seed-b72bdb6c/alma/corpus/filter"
)

func main() {
	log.SetFlags(0)
	personal := filter.DefaultPersonal()
	personal.MaxHits, personal.Phone = 1<<30, "" // datatrove knows neither
	quality, repetition, c4, fineweb := filter.DefaultGopherQuality(), filter.DefaultGopherRepetition(), filter.DefaultC4(), filter.DefaultFineWebRules()
	var filters filter.List
	for _, c := range []filter.Config{&quality, &repetition, &c4, &fineweb, &personal} {
		f, err := c.Filter()
		if err != nil {
			log.Fatal(err)
		}
		filters = append(filters, f)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var d struct{ Text, Language string }
		if err := json.Unmarshal(in.Bytes(), &d); err != nil {
			log.Fatal(err)
		}
		t := filter.NewText(d.Text, filter.Facts{Language: d.Language})
		verdicts := map[string]string{}
		for _, f := range filters {
			left, refusal := f.Apply(t)
			if refusal != nil {
				verdicts[f.Name()] = refusal.Reason
				continue
			}
			verdicts[f.Name()] = ""
			if name := f.Name(); name == "personal" || name == "c4" {
				verdicts[name+"_text"] = left.String()
			}
		}
		if err := out.Encode(verdicts); err != nil {
			log.Fatal(err)
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}
