package stats

import "testing"

func TestWordsAreCountedWithAndWithoutSpaces(t *testing.T) {
	for text, want := range map[string]int{
		"":                      0,
		" \n\t":                 0,
		"Blue.":                 1,
		"It is, of course, red": 5,
		"a - b":                 3,
		"天气很好。":                 4,
		"我用 Go 写程序":             6,
		"用Go1.26写程序。":           5,
		"ありがとう":                 5,
		"naïve café":            2,
	} {
		if got := Words(text); got != want {
			t.Errorf("%q: %d words, want %d", text, got, want)
		}
	}
}
