package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// oneFile writes a checkpoint of one file.
func oneFile(t *testing.T, data []byte) *artifact.Checkpoint {
	t.Helper()
	dir := t.TempDir()
	if err := artifact.WriteCheckpoint(dir, 1, artifact.AllBytes(map[string][]byte{"state": data}), 2); err != nil {
		t.Fatal(err)
	}
	c, _, err := artifact.LatestCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pieces reads 16 bytes of every 64.
func pieces(r io.ReaderAt, size int64) ([]byte, error) {
	var got []byte
	for at := int64(0); at+16 <= size; at += 64 {
		piece := make([]byte, 16)
		if n, err := r.ReadAt(piece, at); n < len(piece) {
			return got, err
		}
		got = append(got, piece...)
	}
	return got, nil
}

func TestCheckpointIsReadInPieces(t *testing.T) {
	data := pattern(1, 1000)
	want, err := pieces(bytes.NewReader(data), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	err = oneFile(t, data).Read("state", func(name string, r io.ReaderAt, size int64) (err error) {
		if name != "state" || size != 1000 {
			t.Errorf("given %s of %d bytes", name, size)
		}
		got, err = pieces(r, size)
		return err
	})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes (%v), want the %d that the file has there", len(got), err, len(want))
	}
}

func TestCheckpointThatChangedIsNoticedWhereverItIsRead(t *testing.T) {
	data := pattern(1, 1000)
	c := oneFile(t, data)
	changes := map[string][]byte{"cut": data[:999], "empty": nil, "longer": append(slices.Clone(data), 0)}
	for at := range data {
		changed := slices.Clone(data)
		changed[at] ^= 0x80
		changes[fmt.Sprintf("byte %d", at)] = changed
	}
	ownError := errors.New("the reader's own")
	for what, changed := range changes {
		if err := os.WriteFile(c.File("state"), changed, 0o666); err != nil {
			t.Fatal(err)
		}
		for _, use := range []func(string, io.ReaderAt, int64) error{
			func(_ string, r io.ReaderAt, size int64) error { _, err := pieces(r, size); return err },
			func(string, io.ReaderAt, int64) error { return nil },
			func(string, io.ReaderAt, int64) error { return ownError },
		} {
			if err := c.Read("state", use); artifact.ExitCode(err) != 12 || !strings.Contains(err.Error(), c.File("state")) {
				t.Fatalf("%s: %v, want exit code 12 and the file", what, err)
			}
		}
		if data, err := c.ReadFile("state"); data != nil || artifact.ExitCode(err) != 12 {
			t.Fatalf("%s: the whole file gives %d bytes and %v", what, len(data), err)
		}
	}
}

func TestCheckpointPassesOnTheErrorOfItsReader(t *testing.T) {
	c := oneFile(t, pattern(1, 1000))
	cause := errors.New("not the model")
	if err := c.Read("state", func(string, io.ReaderAt, int64) error { return cause }); err != cause {
		t.Errorf("%v, want %v", err, cause)
	}
	if err := c.Read("absent", nil); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("an absent file gives %v", err)
	}
	// What is behind is not read a second time, since it could differ.
	err := c.Read("state", func(_ string, r io.ReaderAt, _ int64) error {
		if _, err := r.ReadAt(make([]byte, 10), 500); err != nil {
			t.Error(err)
		}
		_, err := r.ReadAt(make([]byte, 10), 505)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "only once") {
		t.Errorf("reading twice gives %v", err)
	}
}
