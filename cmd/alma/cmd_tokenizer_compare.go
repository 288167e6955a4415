package main

import (
	byteorder "encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// tokenizerComparison is what tokenizer compare says of one text.
type tokenizerComparison struct {
	File       string           `json:"file"`
	Bytes      int              `json:"bytes"`
	Tokens     [2]int           `json:"tokens"` // of the first tokenizer, and of the second or of the ids
	Equal      bool             `json:"equal"`
	Difference *tokenDifference `json:"difference,omitempty"`
	Seconds    float64          `json:"seconds"` // that the first took to encode
}

// tokenDifference is where the ids of two tokenizers first differ.
type tokenDifference struct {
	Token int     `json:"token"` // its number
	Byte  int     `json:"byte"`  // of the text at which the first tokenizer's token begins
	Near  string  `json:"near"`  // the text there
	IDs   []int32 `json:"ids"`   // the first tokenizer's there, at most 8
	Other []int32 `json:"other"` // and the other's
}

func newTokenizerCompareCommand(c *call) *cobra.Command {
	var ids string
	var special bool
	cmd := &cobra.Command{
		Use:   "compare TOKENIZER OTHER FILE... | compare TOKENIZER FILE... --ids IDS",
		Short: "Compare the ids of two tokenizers on texts",
		Long: `Encode texts with two tokenizers and say whether the ids are the same, how many
there are, and where the first difference is. With --ids, compare one tokenizer
with ids that another program made: a file of little-endian 32-bit integers, as
numpy's tofile writes them, or a folder of such files, NAME.i32 for each text.

The exit code is 5 if a text has other ids.`,
		Example: examples("alma tokenizer compare tokenizer model wiki.txt", "alma tokenizer compare model wiki.txt --ids wiki.i32 --json"),
		Args:    arguments(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			first, err := openTokenizer(args[0])
			if err != nil {
				return err
			}
			files := args[1:]
			var other func(file, text string) ([]int32, error)
			if cmd.Flags().Changed("ids") {
				info, err := os.Stat(ids)
				if err != nil {
					return artifact.Mark(artifact.ErrNotFound, fmt.Errorf("reading ids: %w", err))
				}
				if !info.IsDir() && len(files) != 1 {
					return artifact.Errorf(artifact.ErrUsage, "comparing with --ids: %d texts are given and the ids of one; name a folder with a file of ids, NAME.i32, for each", len(files))
				}
				other = func(file, _ string) ([]int32, error) {
					if info.IsDir() {
						return readIDs(filepath.Join(ids, filepath.Base(file)+".i32"))
					}
					return readIDs(ids)
				}
			} else {
				if len(files) < 2 {
					return artifact.Errorf(artifact.ErrUsage, "comparing tokenizers: no text is given; name a file after the two, or give --ids")
				}
				second, err := openTokenizer(args[1])
				if err != nil {
					return err
				}
				files = files[1:]
				other = func(_, text string) ([]int32, error) { return encodeAs(second, text, special), nil }
			}
			results, different := []tokenizerComparison{}, 0
			for _, file := range files {
				r, err := compareText(first, file, special, other)
				if err != nil {
					return err
				}
				if !r.Equal {
					different++
				}
				results = append(results, r)
				if !c.json {
					c.printf("%s", r.line())
				}
			}
			if c.json {
				if err := c.printJSON(results); err != nil {
					return err
				}
			}
			if different > 0 {
				return artifact.Errorf(artifact.ErrCheckNotMet, "comparing tokenizers: %d of %d texts have other ids", different, len(files))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&ids, "ids", "", "compare with the ids in this `FILE` or folder")
	cmd.Flags().BoolVar(&special, "special", false, "take the names of special tokens in the texts for those tokens")
	c.jsonFlag(cmd)
	return cmd
}

func encodeAs(t *tokenizer.Tokenizer, text string, special bool) []int32 {
	if special {
		return t.EncodeWithSpecial(text)
	}
	return t.Encode(text)
}

func readIDs(file string) ([]int32, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading ids: %w", err)
	}
	if len(data)%4 != 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading ids %s: %d bytes are not a whole number of 32-bit integers", file, len(data))
	}
	ids := make([]int32, len(data)/4)
	for i := range ids {
		ids[i] = int32(byteorder.LittleEndian.Uint32(data[4*i:]))
	}
	return ids, nil
}

func compareText(t *tokenizer.Tokenizer, file string, special bool, other func(file, text string) ([]int32, error)) (r tokenizerComparison, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return r, fmt.Errorf("reading text: %w", err)
	}
	if len(data) == 0 {
		return r, artifact.Errorf(artifact.ErrUsage, "comparing tokenizers on %s: the file is empty, so that nothing is compared; give one with text", file)
	}
	text := string(data)
	theirs, err := other(file, text)
	if err != nil {
		return r, err
	}
	start := time.Now()
	ours := encodeAs(t, text, special)
	r = tokenizerComparison{File: file, Bytes: len(text), Tokens: [2]int{len(ours), len(theirs)}, Seconds: time.Since(start).Seconds()}
	same := 0
	for same < min(len(ours), len(theirs)) && ours[same] == theirs[same] {
		same++
	}
	if same == len(ours) && same == len(theirs) {
		r.Equal = true
		return r, nil
	}
	before, err := t.Decode(ours[:same])
	if err != nil {
		return r, err
	}
	at := min(len(before), len(text)) // of kinds that normalize, about
	r.Difference = &tokenDifference{
		Token: same, Byte: at, Near: text[at:min(len(text), at+40)],
		IDs: append([]int32{}, ours[same:min(len(ours), same+8)]...), Other: append([]int32{}, theirs[same:min(len(theirs), same+8)]...),
	}
	return r, nil
}

func (r *tokenizerComparison) line() string {
	line := fmt.Sprintf("%s: %s bytes, %s tokens (%.2f bytes each)", r.File, progress.Count(int64(r.Bytes)), progress.Count(int64(r.Tokens[0])), float64(r.Bytes)/float64(max(1, r.Tokens[0])))
	if r.Equal {
		return line + ", equal\n"
	}
	d := r.Difference
	return line + fmt.Sprintf(", the other %s tokens (%.2f bytes each)\n  they part at token %d, byte %d: %q\n  ids %v, the other %v\n",
		progress.Count(int64(r.Tokens[1])), float64(r.Bytes)/float64(max(1, r.Tokens[1])), d.Token, d.Byte, d.Near, d.IDs, d.Other)
}
