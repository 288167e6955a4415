package filter

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// URLs are lists by which documents are refused for their address: Penedo et al.,
// "The RefinedWeb Dataset" (2023), section G.1. A document without an address is
// not refused.
//
// The words that the default holds are few, of our own choice and pornographic:
// what a corpus of the web needs is a list of domains such as that of the
// Université Toulouse Capitole (https://dsi.ut-capitole.fr/blacklists/), given as
// files.
type URLs struct {
	Domains     []string `yaml:"domains" json:"domains" doc:"domains that are refused, with all below them"`
	DomainFiles []string `yaml:"domain_files" json:"domain_files" doc:"files with one such domain a line; lines that begin with # do not count"`
	URLs        []string `yaml:"urls" json:"urls" doc:"whole addresses that are refused"`
	Words       []string `yaml:"words" json:"words" doc:"words of which none may stand in an address, between what are no letters or digits"`
	SoftWords   []string `yaml:"soft_words" json:"soft_words" doc:"words of which some may"`
	MaxSoft     int      `yaml:"max_soft" json:"max_soft" doc:"most different soft words" min:"0"`
	Parts       []string `yaml:"parts" json:"parts" doc:"letters and digits that may stand nowhere in an address, whatever lies between them"`
}

// DefaultURLs returns lists of our own, small ones.
func DefaultURLs() URLs {
	return URLs{
		Words:     []string{"porn", "porno", "xxx", "hentai", "milf", "camgirl", "camgirls", "xvideos", "hardcoresex", "blowjob", "sexcam", "sexcams"},
		SoftWords: []string{"sex", "sexy", "nude", "naked", "adult", "erotic", "escort", "escorts", "fetish", "teen", "babes", "webcam", "casino", "viagra"},
		MaxSoft:   1,
		Parts:     []string{"xvideo", "pornhub", "freeporn", "sexcam", "livesex", "hardcoresex"},
	}
}

// Filter reads the files of domains and makes the filter.
func (c *URLs) Filter() (Filter, error) {
	const name = "urls"
	domains := map[string]bool{}
	for _, d := range c.Domains {
		domains[strings.ToLower(d)] = true
	}
	for _, path := range c.DomainFiles {
		if err := readDomains(path, domains); err != nil {
			return Filter{}, fmt.Errorf("filter %s: reading domain_files: %w", name, err)
		}
	}
	urls := map[string]bool{}
	for _, u := range c.URLs {
		urls[u] = true
	}
	hard, soft := map[string]bool{}, map[string]bool{}
	for _, w := range c.Words {
		hard[strings.ToLower(w)] = true
	}
	for _, w := range c.SoftWords {
		soft[strings.ToLower(w)] = true
	}
	var parts []string
	for _, p := range c.Parts {
		if p = lettersAndDigits(p); p != "" {
			parts = append(parts, p)
		}
	}
	most := c.MaxSoft
	return Filter{name: name, concerns: func(t *Text) bool { return t.URL != "" }, judge: func(t *Text, each func(Value) bool) *Text {
		found := func(reason, setting, what string) bool {
			v := Value{Reason: name + ": " + reason, Setting: setting, Found: what}
			if what != "" {
				v.Value = 1
			}
			return each(v)
		}
		if !found("domain", "domains", listed(hostOf(t.URL), domains)) {
			return nil
		}
		whole := ""
		if urls[t.URL] {
			whole = t.URL
		}
		if !found("address", "urls", whole) {
			return nil
		}
		word, softs := "", []string{}
		for w := range strings.FieldsFuncSeq(strings.ToLower(t.URL), func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') }) {
			if hard[w] && word == "" {
				word = w
			}
			if soft[w] && !slices.Contains(softs, w) {
				softs = append(softs, w)
			}
		}
		if !found("word", "words", word) ||
			!each(Value{Reason: name + ": soft words", Setting: "max_soft", Value: float64(len(softs)), Limit: float64(most), Found: strings.Join(softs, ", ")}) {
			return nil
		}
		part := ""
		if len(parts) > 0 {
			all := lettersAndDigits(t.URL)
			if i := slices.IndexFunc(parts, func(p string) bool { return strings.Contains(all, p) }); i >= 0 {
				part = parts[i]
			}
		}
		found("part of a word", "parts", part)
		return t
	}}, nil
}

// readDomains adds the domains of a file, one a line.
func readDomains(path string, domains map[string]bool) error {
	file, err := os.Open(path)
	if err != nil {
		return artifact.Mark(artifact.ErrNotFound, err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	number := 0
	for lines.Scan() {
		number++
		line := strings.ToLower(strings.TrimSpace(lines.Text()))
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.ContainsAny(line, "/ \t") {
			return artifact.Errorf(artifact.ErrUsage, "%s: line %d holds %q, which is no domain; give one a line, without a scheme or path", path, number, line)
		}
		domains[line] = true
	}
	return lines.Err()
}

// hostOf is the host of an address, in small letters, without user and port.
func hostOf(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		url = rest
	}
	if i := strings.IndexAny(url, "/?#\\"); i >= 0 {
		url = url[:i]
	}
	if i := strings.LastIndexByte(url, '@'); i >= 0 {
		url = url[i+1:]
	}
	if i := strings.LastIndexByte(url, ':'); i >= 0 && !strings.HasSuffix(url, "]") {
		url = url[:i]
	}
	return strings.TrimSuffix(strings.ToLower(url), ".")
}

// listed is the domain in the list that the host is, or is below; empty if none.
func listed(host string, domains map[string]bool) string {
	for len(domains) > 0 && host != "" {
		if domains[host] {
			return host
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return ""
}

// lettersAndDigits is what is left of a text without anything but ASCII's letters
// and digits, in small letters.
func lettersAndDigits(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return -1
	}, text)
}
