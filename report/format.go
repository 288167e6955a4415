package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// figure writes a number with four significant digits, "–" for none.
func figure(x float64) string {
	switch {
	case !finite(x):
		return "–"
	case x != 0 && (math.Abs(x) < 1e-3 || math.Abs(x) >= 1e6):
		text := strconv.FormatFloat(x, 'e', 3, 64)
		mantissa, exponent, _ := strings.Cut(text, "e")
		if strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		e, _ := strconv.Atoi(exponent) // FormatFloat's own digits
		return fmt.Sprintf("%se%d", mantissa, e)
	case math.Abs(x) >= 1000:
		return grouped(int64(math.Round(x)))
	}
	digits := 3
	if x != 0 {
		digits = max(0, 3-int(math.Floor(math.Log10(math.Abs(x)))))
	}
	text := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// grouped writes an integer with commas between thousands.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// count writes a number of operations with an SI prefix: `53.1 T`.
func count(x float64) string {
	if !finite(x) {
		return "–"
	}
	for _, unit := range []struct {
		size float64
		name string
	}{{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(x) >= unit.size {
			return fmt.Sprintf("%s %s", threeDigits(x/unit.size), unit.name)
		}
	}
	return figure(x)
}

func threeDigits(x float64) string {
	switch {
	case math.Abs(x) >= 99.95: // 100 once rounded
		return strconv.FormatFloat(x, 'f', 0, 64)
	case math.Abs(x) >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// span writes a time in seconds: `0.84 s`, `12.3 s`, `8 min 05 s`, `2 h 10 min`.
func span(seconds float64) string {
	if !finite(seconds) {
		return "–"
	}
	whole := int64(math.Round(seconds))
	switch {
	case seconds < 60:
		return threeDigits(seconds) + " s"
	case whole < 3600:
		return fmt.Sprintf("%d min %02d s", whole/60, whole%60)
	}
	return fmt.Sprintf("%d h %02d min", whole/3600, whole%3600/60)
}

func percent(share float64) string {
	if !finite(share) {
		return "–"
	}
	return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
}

// score writes a score of the rule, always with three decimals so that columns
// line up.
func score(x float64) string {
	if !finite(x) {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}

// flatten lists the values of a configuration in the order in which JSON
// writes them, under dotted keys.
func flatten(config any) ([]Setting, error) {
	if config == nil {
		return nil, nil
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("writing the configuration of type %T: %w", config, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var out []Setting
	if err := flattenValue(decoder, "", &out); err != nil {
		return nil, fmt.Errorf("reading the configuration of type %T back: %w", config, err)
	}
	return out, nil
}

func flattenValue(d *json.Decoder, key string, out *[]Setting) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return err
			}
			inner := fmt.Sprint(name)
			if key != "" {
				inner = key + "." + inner
			}
			if err := flattenValue(d, inner, out); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	case json.Delim('['):
		// A list of scalars is one value; a list of objects has indices.
		var scalars []string
		for i := 0; d.More(); i++ {
			var items []Setting
			if err := flattenValue(d, fmt.Sprintf("%s[%d]", key, i), &items); err != nil {
				return err
			}
			if len(items) == 1 && items[0].Key == fmt.Sprintf("%s[%d]", key, i) {
				scalars = append(scalars, items[0].Value)
			} else {
				*out = append(*out, items...)
			}
		}
		if _, err = d.Token(); err != nil {
			return err
		}
		if len(scalars) > 0 || len(*out) == 0 || !strings.HasPrefix((*out)[len(*out)-1].Key, key+"[") {
			*out = append(*out, Setting{Key: key, Value: "[" + strings.Join(scalars, ", ") + "]"})
		}
		return nil
	case nil:
		*out = append(*out, Setting{Key: key, Value: "none"})
		return nil
	}
	*out = append(*out, Setting{Key: key, Value: fmt.Sprint(token)})
	return nil
}
