package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// A sealed JSON file is an object whose second line holds the SHA-256 of
// every byte from the third line on, so that the manifest that vouches for
// the other files vouches for itself:
//
//	{
//	  "sha256": "5891b5b5…",
//	  "format": 1,
//	  …

const (
	sealBegin = "{\n  \"sha256\": \""
	sealEnd   = "\",\n"
	sealSize  = len(sealBegin) + 2*sha256.Size + len(sealEnd)

	// maxManifest is the largest manifest that is read, in bytes.
	maxManifest = 64 << 20
)

// seal encodes a struct with at least one field as sealed JSON.
func seal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	body := bytes.TrimPrefix(buffer.Bytes(), []byte("{\n"))
	sum := sha256.Sum256(body)
	out := make([]byte, 0, sealSize+len(body))
	out = append(out, sealBegin...)
	out = hex.AppendEncode(out, sum[:])
	out = append(out, sealEnd...)
	return append(out, body...), nil
}

// unseal checks the seal of a file's content and decodes it into v.
func unseal(path string, data []byte, v any) error {
	if len(data) < sealSize || string(data[:len(sealBegin)]) != sealBegin || string(data[sealSize-len(sealEnd):sealSize]) != sealEnd {
		return &CorruptError{Path: path, Reason: "it does not begin with its own checksum"}
	}
	want := string(data[len(sealBegin) : sealSize-len(sealEnd)])
	sum := sha256.Sum256(data[sealSize:])
	if got := hex.EncodeToString(sum[:]); got != want {
		return &CorruptError{Path: path, Reason: fmt.Sprintf("its checksum is %s and says %s: it was changed after it was written", got, want)}
	}
	if err := json.Unmarshal(data, v); err != nil {
		return &CorruptError{Path: path, Reason: "its JSON does not decode", Err: err}
	}
	return nil
}
