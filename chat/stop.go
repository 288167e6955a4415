package chat

import (
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// StopStrings end a text where it comes to hold one of them, of several the one that
// begins first. Transformers' stop_strings leave the string in the text; here the text
// ends before it, as what is written for people does in other programs.
type StopStrings []string

// Cut returns a text up to the first stop string, and whether it holds one.
func (s StopStrings) Cut(text string) (before string, stopped bool) {
	at := len(text)
	for _, stop := range s {
		if i := strings.Index(text, stop); i >= 0 && i < at {
			at, stopped = i, true
		}
	}
	return text[:at], stopped
}

// Held is the length in bytes of the longest end of a text that a stop string could
// begin with: what comes next decides whether it is part of the text.
func (s StopStrings) Held(text string) int {
	held := 0
	for _, stop := range s {
		for n := min(len(stop)-1, len(text)); n > held; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				held = n
			}
		}
	}
	return held
}

// Until makes what finds, for one text after the other, the token that completes a stop
// string (generate.Sampling.Until); nil where there are none.
func (s StopStrings) Until(tok *tokenizer.Tokenizer) func() func(token int32) bool {
	if len(s) == 0 {
		return nil
	}
	longest := 0
	var names []int32 // a special token, which gives no text, ends it as well
	for _, stop := range s {
		longest = max(longest, len(stop))
		if id, ok := tok.TokenID(stop); ok {
			names = append(names, id)
		}
	}
	return func() func(int32) bool {
		decoder, end := tok.NewDecoder(), ""
		return func(token int32) bool {
			part, err := decoder.Next(token)
			if err != nil { // no token of the tokenizer's: who turns the text into words says so
				return false
			}
			_, stopped := s.Cut(end + part)
			end = lastBytes(end+part, longest-1)
			return stopped || slices.Contains(names, token)
		}
	}
}

// lastBytes is the end of a text, of at most n bytes.
func lastBytes(text string, n int) string { return text[max(0, len(text)-n):] }
