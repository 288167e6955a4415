package tokenizer

// The patterns that tokenizer.json files carry, and the functions that cut as
// they do. A pattern is recognised by its whole text; no regular expressions are
// run. See pieces.go for GPT-2's.
const (
	patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	// Llama 3, and cl100k as Hugging Face files have it.
	patternLlama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// cl100k as tiktoken has it: white space at the end of the text stays whole.
	// tiktoken writes it with possessive repeats; this text cuts the same and is
	// one that Hugging Face's regex engine reads.
	patternCl100k = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+`
	// Qwen 2, 2.5 and 3: digits one by one.
	patternQwen2 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternO200k = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// cutter returns the end of the piece that starts at s[i]; i < len(s).
type cutter func(s string, i int) int

var patterns = map[string]cutter{
	patternGPT2:   pieceEnd,
	patternLlama3: llama3End,
	patternCl100k: cl100kEnd,
	patternQwen2:  qwen2End,
	patternO200k:  o200kEnd,
	patternTekken: tekkenEnd,
}

func llama3End(s string, i int) int { return modernEnd(s, i, 3, false) }
func cl100kEnd(s string, i int) int { return modernEnd(s, i, 3, true) }
func qwen2End(s string, i int) int  { return modernEnd(s, i, 1, false) }

// modernEnd cuts as the family of cl100k does: numbers in groups of so many
// digits, any one character but a line's end or a digit before letters, line
// ends after punctuation, and, if wholeTail is set, white space at the end of
// the text in one piece.
func modernEnd(s string, i, digits int, wholeTail bool) int {
	if s[i] == '\'' {
		if n := anyCaseContraction(s[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	c, size := classAt(s, i)
	next := i + size
	switch c {
	case letter:
		return runEnd(s, next, letter)
	case number:
		return numberEnd(s, next, digits-1)
	}
	if next < len(s) && s[i] != '\n' && s[i] != '\r' {
		d, size := classAt(s, next)
		if d == letter {
			return runEnd(s, next+size, letter)
		}
		if d == other && s[i] == ' ' {
			c, next = other, next+size
		}
	}
	if c == other {
		end := runEnd(s, next, other)
		for end < len(s) && (s[end] == '\n' || s[end] == '\r') {
			end++
		}
		return end
	}
	return modernSpaceEnd(s, i, wholeTail)
}

// numberEnd returns where a number ends of which at most most characters follow.
func numberEnd(s string, i, most int) int {
	for ; most > 0 && i < len(s); most-- {
		c, size := classAt(s, i)
		if c != number {
			break
		}
		i += size
	}
	return i
}

// modernSpaceEnd cuts white space after its last line end; where it has none,
// before its last character if something follows, which that may go with.
func modernSpaceEnd(s string, i int, wholeTail bool) int {
	last, lines := i, i // where the last character begins, and where the last line end ends
	end := i
	for end < len(s) {
		c, size := classAt(s, end)
		if c != space {
			break
		}
		last = end
		if s[end] == '\n' || s[end] == '\r' {
			lines = end + 1
		}
		end += size
	}
	switch {
	case wholeTail && end == len(s):
		return end
	case lines > i:
		return lines
	case end < len(s) && last > i:
		return last
	}
	return end
}

// anyCaseContraction is contraction for (?i:…), in which U+017F is an s.
func anyCaseContraction(s string) int {
	if len(s) == 0 {
		return 0
	}
	switch s[0] | 0x20 {
	case 's', 't', 'm', 'd':
		return 1
	case 'r', 'v':
		if len(s) > 1 && s[1]|0x20 == 'e' {
			return 2
		}
	case 'l':
		if len(s) > 1 && s[1]|0x20 == 'l' {
			return 2
		}
	}
	if len(s) > 1 && s[:2] == "\u017f" {
		return 2
	}
	return 0
}

// smollmEnd cuts as SmolLM2's pre-tokenizer does: each digit is a piece, and what
// lies between digits is cut by GPT-2's pattern as if it were a text of its own.
func smollmEnd(s string, i int) int {
	if c, size := classAt(s, i); c == number {
		return i + size
	} else if c == space {
		// GPT-2's pattern leaves the last of white space to what follows it, and
		// before a digit nothing does.
		end := i + size
		for end < len(s) {
			d, size := classAt(s, end)
			if d == number {
				return end
			}
			if d != space {
				break
			}
			end += size
		}
	}
	return pieceEnd(s, i)
}

func o200kEnd(s string, i int) int  { return casedEnd(s, i, 3, true) }
func tekkenEnd(s string, i int) int { return casedEnd(s, i, 1, false) }

// casedEnd cuts as the family of o200k does: words where lower case ends, numbers in
// groups of so many digits, and with a word the contraction behind it, or not.
func casedEnd(s string, i, digits int, contractions bool) int {
	c, size := classAt(s, i)
	if c == number {
		return numberEnd(s, i+size, digits-1)
	}
	if end := o200kWord(s, i, c, size); end > i {
		if !contractions {
			return end
		}
		return withContraction(s, end)
	}
	next := i + size
	if s[i] == ' ' && next < len(s) {
		if d, size := classAt(s, next); d == other {
			c, next = other, next+size
		}
	}
	if c == other {
		end := runEnd(s, next, other)
		for end < len(s) && (s[end] == '\n' || s[end] == '\r' || s[end] == '/') {
			end++
		}
		return end
	}
	return modernSpaceEnd(s, i, false)
}

// o200kWord returns the end of the word at s[i], i if there is none: the first
// two alternatives of the pattern, each first with the character before the word
// and then without it.
func o200kWord(s string, i int, c class, size int) int {
	start := i
	if c != letter && s[i] != '\n' && s[i] != '\r' {
		start += size
	}
	if end := lowerWord(s, start); end > start {
		return end
	}
	if end := lowerWord(s, i); start > i && end > i {
		return end
	}
	if end := caseRunEnd(s, start, upperOrCaseless); end > start {
		return end // of upper case alone, or lowerWord had found it
	}
	return i
}

// lowerWord is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ from
// s[i] on: it returns the end of the match, i for none.
func lowerWord(s string, i int) int {
	upper, caseless := i, i // the end of the upper case, and of the last caseless character in it
	for upper < len(s) {
		c, size := caseAt(s, upper)
		if c&upperOrCaseless == 0 {
			break
		}
		upper += size
		if c == caselessLetter {
			caseless = upper
		}
	}
	if end := caseRunEnd(s, upper, lowerOrCaseless); end > upper {
		return end
	}
	return caseless // the star gives back what follows it, and the plus takes one
}

func caseRunEnd(s string, i int, want letterCase) int {
	for i < len(s) {
		c, size := caseAt(s, i)
		if c&want == 0 {
			break
		}
		i += size
	}
	return i
}

func withContraction(s string, i int) int {
	if i < len(s) && s[i] == '\'' {
		if n := anyCaseContraction(s[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	return i
}
