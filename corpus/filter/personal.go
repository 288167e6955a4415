package filter

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Personal says what takes the place of personal data: e-mail addresses and public
// IPv4 addresses by FineWeb's rule (Penedo et al. 2024; its expression for e-mail
// is that of RFC 5322's common subset), telephone numbers by Dolma's (Soldaini et
// al. 2024, section 5.2). A text with many of them is a list of people, and is
// refused, as in Dolma.
type Personal struct {
	Email   string `yaml:"email" json:"email" doc:"what takes the place of e-mail addresses; empty leaves them"`
	IP      string `yaml:"ip" json:"ip" doc:"what takes the place of public IPv4 addresses; empty leaves them"`
	Phone   string `yaml:"phone" json:"phone" doc:"what takes the place of telephone numbers; empty leaves them"`
	MaxHits int    `yaml:"max_hits" json:"max_hits" doc:"most of all these in a text" min:"0"`
}

// DefaultPersonal returns names and addresses that are set aside for examples
// (RFC 2606, RFC 5737), a word for telephone numbers, and Dolma's limit.
func DefaultPersonal() Personal {
	return Personal{Email: "email@example.com", IP: "192.0.2.1", Phone: "PHONE_NUMBER", MaxHits: 5}
}

// A hit is a place of personal data, in bytes.
type hit struct {
	start, end int
	with       string
}

// Filter makes the filter.
func (c *Personal) Filter() (Filter, error) {
	const name = "personal"
	rules := *c
	return Filter{name: name, judge: func(t *Text, each func(Value) bool) *Text {
		var hits []hit
		if rules.Email != "" {
			hits = emails(hits, t.text, rules.Email)
		}
		if rules.IP != "" {
			hits = addresses(hits, t.text, rules.IP)
		}
		if rules.Phone != "" {
			hits = phones(hits, t.text, rules.Phone)
		}
		if !each(Value{Reason: name + ": too much of it", Setting: "max_hits", Value: float64(len(hits)), Limit: float64(rules.MaxHits)}) || len(hits) == 0 {
			return t
		}
		slices.SortStableFunc(hits, func(a, b hit) int { return a.start - b.start })
		var b strings.Builder
		b.Grow(len(t.text))
		last := 0
		for _, h := range hits {
			if h.start < last { // within an address that is gone already
				continue
			}
			b.WriteString(t.text[last:h.start])
			b.WriteString(h.with)
			last = h.end
		}
		b.WriteString(t.text[last:])
		return t.become(b.String())
	}}, nil
}

// local are the characters of an address before its @, but for the points between
// them.
var local = func() (set [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+/=?^_`{|}~-" {
		set[c] = true
	}
	return set
}()

func isWord(r rune) bool {
	if r < 0x80 {
		return classes[r]&(letter|digit) != 0 || r == '_'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// emails adds the e-mail addresses of a text: parts joined by points, an @, and a
// name of at least two labels or an address in brackets. It begins at an edge of
// a word (Unicode's), the first that makes one.
func emails(hits []hit, text, with string) []hit {
	done := 0
	for at := 0; ; at++ {
		i := strings.IndexByte(text[at:], '@')
		if i < 0 {
			return hits
		}
		at += i
		start := at
		for start > done && (local[text[start-1]] || text[start-1] == '.' && start < at && text[start] != '.') {
			start--
		}
		if start == at || text[at-1] == '.' {
			continue
		}
		for start < at && (text[start] == '.' || !edge(text, start)) {
			start++
		}
		if start == at {
			continue
		}
		end := domain(text, at+1)
		if end == 0 {
			continue
		}
		hits = append(hits, hit{start, end, with})
		done = end
		at = end - 1
	}
}

// edge reports whether exactly one of the characters on both sides is of a word.
func edge(text string, at int) bool {
	before, after := false, false
	if at > 0 {
		r, _ := utf8.DecodeLastRuneInString(text[:at])
		before = isWord(r)
	}
	if at < len(text) {
		r, _ := utf8.DecodeRuneInString(text[at:])
		after = isWord(r)
	}
	return before != after
}

// domain is the end of the domain that begins at a place, 0 if there is none.
func domain(text string, at int) int {
	if at < len(text) && text[at] == '[' {
		if end := address(text, at+1); end > 0 && end < len(text) && text[end] == ']' {
			return end + 1
		}
		return 0
	}
	labels, end := 0, 0
	for {
		last := at // end of the label without hyphens at its end
		for i := at; i < len(text) && (classes[text[i]]&(letter|digit) != 0 || text[i] == '-' && i > at); i++ {
			if text[i] != '-' {
				last = i + 1
			}
		}
		if last == at {
			break
		}
		labels++
		end = last
		if last >= len(text) || text[last] != '.' {
			break
		}
		at = last + 1
	}
	if labels < 2 {
		return 0
	}
	return end
}

// address is the end of the IPv4 address that begins at a place, 0 if there is
// none. Of the digits at its end it takes as many as make a number up to 255.
func address(text string, at int) int {
	for part := range 4 {
		digits := at
		for digits < len(text) && digits < at+3 && text[digits] >= '0' && text[digits] <= '9' {
			digits++
		}
		if digits == at {
			return 0
		}
		if digits == at+3 && text[at:digits] > "255" {
			if part < 3 {
				return 0
			}
			digits--
		}
		if part == 3 {
			return digits
		}
		if digits >= len(text) || text[digits] != '.' {
			return 0
		}
		at = digits + 1
	}
	return 0
}

// addresses adds the public IPv4 addresses of a text.
func addresses(hits []hit, text, with string) []hit {
	for at := 0; ; at++ {
		i := strings.IndexByte(text[at:], '.')
		if i < 0 {
			return hits
		}
		at += i
		// An address begins with up to three digits before its first point; of
		// more digits, with the last ones.
		for start := max(0, at-3); start < at; start++ {
			if !allDigits(text[start:at]) {
				continue
			}
			end := address(text, start)
			if end == 0 {
				continue
			}
			if public(text[start:end]) {
				hits = append(hits, hit{start, end, with})
			}
			at = end - 1
			break
		}
	}
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// reserved are the networks that are no one's in the public Internet: IANA's
// registry of special-purpose addresses.
var reserved = func() (list []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}()

// public reports whether the text is an address of the public Internet. Numbers
// with a zero before them are none.
func public(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && !slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// phones adds numbers of ten digits in three groups, as the telephones of North
// America have them: white space, perhaps a bracket, three digits, perhaps a
// bracket, then points, hyphens and spaces; three digits, perhaps one of these,
// four digits. Dolma's expression cuts ten digits out of more; here no digit
// follows.
func phones(hits []hit, text, with string) []hit {
	for at := 0; at < len(text); {
		r, size := rune(text[at]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[at:])
		}
		at += size
		if !isSpace(r) {
			continue
		}
		if end := phone(text, at); end > 0 {
			hits = append(hits, hit{at, end, with})
			at = end
		}
	}
	return hits
}

// phone is the end of the telephone number that begins at a place, 0 if there is
// none.
func phone(text string, at int) int {
	digits := func(n int) bool {
		if at+n > len(text) || !allDigits(text[at:at+n]) {
			return false
		}
		at += n
		return true
	}
	one := func(set string) bool {
		if at < len(text) && strings.IndexByte(set, text[at]) >= 0 {
			at++
			return true
		}
		return false
	}
	one("(")
	if !digits(3) {
		return 0
	}
	one(")")
	for one("-. ") {
	}
	if !digits(3) {
		return 0
	}
	one("-. ")
	if !digits(4) || at < len(text) && classes[text[at]]&digit != 0 {
		return 0
	}
	return at
}
