package jinja

import (
	"fmt"
	"strings"
	"time"
)

// strftime is Python's datetime.strftime in the C locale.
func strftime(t time.Time, format string) (string, error) {
	layouts := map[byte]string{
		'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'I': "03", 'p': "PM",
		'B': "January", 'b': "Jan", 'h': "Jan", 'A': "Monday", 'a': "Mon", 'j': "002", 'e': "_2",
		'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'x': "01/02/06", 'X': "15:04:05", 'c': "Mon Jan _2 15:04:05 2006",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		code := format[i]
		pad := true
		if code == '-' && i+1 < len(format) { // glibc: without leading zeros
			i++
			code, pad = format[i], false
		}
		text := ""
		switch code {
		case '%':
			text = "%"
		case 'n':
			text = "\n"
		case 't':
			text = "\t"
		case 'f':
			text = fmt.Sprintf("%06d", t.Nanosecond()/1000)
		case 'Z', 'z': // datetime.now() has no time zone
		case 'w':
			text = fmt.Sprint(int(t.Weekday()))
		case 'u':
			text = fmt.Sprint((int(t.Weekday())+6)%7 + 1)
		case 's':
			text = fmt.Sprint(t.Unix())
		case 'G':
			year, _ := t.ISOWeek()
			text = fmt.Sprint(year)
		case 'V':
			_, week := t.ISOWeek()
			text = fmt.Sprintf("%02d", week)
		default:
			layout, ok := layouts[code]
			if !ok {
				return "", fmt.Errorf("the date format %q has %%%c, which is not supported", format, code)
			}
			text = t.Format(layout)
		}
		if !pad {
			if trimmed := strings.TrimLeft(text, "0 "); trimmed != "" {
				text = trimmed
			} else if text != "" {
				text = "0"
			}
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
