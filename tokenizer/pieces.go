package tokenizer

// Pieces cuts a text at the places where GPT-2's pre-tokenizer cuts it and
// calls yield with each piece in turn; joined, the pieces are the text, byte for
// byte. Merges never cross a cut. It has the form of an iter.Seq[string]:
//
//	for piece := range tokenizer.Pieces(text) { … }
//
// The cuts are those of the regular expression in GPT-2's encoder.py (Radford
// et al., 2019), tried in this order at each position:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// Bytes that are no valid UTF-8 count as characters of [^\s\p{L}\p{N}].
func Pieces(text string) func(yield func(piece string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); {
			j := pieceEnd(text, i)
			if !yield(text[i:j]) {
				return
			}
			i = j
		}
	}
}

// pieceEnd returns the end of the piece that starts at s[i]; i < len(s).
func pieceEnd(s string, i int) int {
	start := i
	switch s[i] {
	case ' ':
		// The optional space before a run of letters, numbers or others. Before
		// more white space, or at the end, it belongs to the white space.
		if i+1 == len(s) {
			return i + 1
		}
		start++
	case '\'':
		if n := contraction(s[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	c, size := classAt(s, start)
	if c != space {
		return runEnd(s, start+size, c)
	}

	// White space: \s+(?!\S) takes all but the last character of a run that
	// something follows, so that the last can go with what follows; a run of one
	// is left to \s+.
	last, end := i, i+1
	if start == i {
		end = i + size
	}
	for end < len(s) {
		c, size := classAt(s, end)
		if c != space {
			if last > i {
				return last
			}
			return end
		}
		last = end
		end += size
	}
	return end
}

// runEnd returns where the run of characters of class c that is under way at
// s[i] ends.
func runEnd(s string, i int, c class) int {
	for i < len(s) {
		if a := asciiClass[s[i]]; a == c {
			i++
			continue
		} else if a != notASCII {
			return i
		}
		d, size := classAt(s, i)
		if d != c {
			return i
		}
		i += size
	}
	return i
}

// contraction returns the length of the English contraction ending (what
// follows the apostrophe in 's, 't, 're, 've, 'm, 'll, 'd) that s begins with,
// or 0.
func contraction(s string) int {
	if len(s) == 0 {
		return 0
	}
	switch s[0] {
	case 's', 't', 'm', 'd':
		return 1
	case 'r', 'v':
		if len(s) > 1 && s[1] == 'e' {
			return 2
		}
	case 'l':
		if len(s) > 1 && s[1] == 'l' {
			return 2
		}
	}
	return 0
}
