package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/embed"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// The formats.
const (
	HuggingFace = "hf"
	GGUF        = "gguf"
)

// weightsFile is the name of a Hugging Face folder's weights, modelFile that of
// a GGUF file where only a folder was given.
const (
	weightsFile = "model.safetensors"
	modelFile   = "model.gguf"
)

// types gives the types of weights that each format has, with their names
// there.
var types = map[string]map[string]string{
	HuggingFace: {"f32": "F32", "f16": "F16", "bf16": "BF16"},
	GGUF:        {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"},
}

// ggufTypes are the GGUF types by these names.
var ggufTypes = map[string]gguf.Type{"f32": gguf.F32, "f16": gguf.F16, "bf16": gguf.BF16, "q8_0": gguf.Q8_0}

// Options say what is written.
type Options struct {
	Source string // where the model was opened: its lineage is read there
	Format string // HuggingFace or GGUF
	Type   string // "f32", "f16", "bf16", and for GGUF "q8_0"
	// Out is a folder, or for GGUF a path that ends in .gguf: then Modelfile and
	// README.md lie beside that file.
	Out string
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	known, ok := types[o.Format]
	if !ok {
		return artifact.Errorf(artifact.ErrUsage, "exporting: format %q is not %q or %q", o.Format, HuggingFace, GGUF)
	}
	if _, ok := known[o.Type]; !ok {
		return artifact.Errorf(artifact.ErrUsage, "exporting: the format %s has no type %q; it has %s", o.Format, o.Type, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if o.Out == "" {
		return artifact.Errorf(artifact.ErrUsage, "exporting: no path to write to")
	}
	return nil
}

// folder is where the files go, and file the GGUF file's name in it.
func (o Options) folder() (folder, file string) {
	if o.Format == GGUF && strings.HasSuffix(strings.ToLower(o.Out), ".gguf") {
		return filepath.Dir(o.Out), filepath.Base(o.Out)
	}
	return o.Out, modelFile
}

// Path is what is opened again: the folder or the GGUF file.
func (o Options) Path() string {
	folder, file := o.folder()
	if o.Format == GGUF {
		return filepath.Join(folder, file)
	}
	return folder
}

// Report is what was written and what its reopening showed.
type Report struct {
	Path     string   `json:"path"` // folder or GGUF file
	Format   string   `json:"format"`
	Type     string   `json:"dtype"`
	Bytes    int64    `json:"bytes"` // of the weights' file
	Files    []string `json:"files"` // beside it, by name
	Notes    []string `json:"notes,omitempty"`
	Template string   `json:"ollama_template"` // "written", or why not
	Check    Check    `json:"check"`
}

// mark begins each file that an export may overwrite: one that it wrote.
const mark = "written by alma export"

// Write writes the model and opens it again. A difference that the type of the
// weights does not explain is an [artifact.ErrCheckNotMet], with the report.
func Write(ctx context.Context, m *model.Model, tok *tokenizer.Tokenizer, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if m.Head != model.LanguageModel && o.Format == GGUF {
		return nil, artifact.Errorf(artifact.ErrUsage, "exporting %s: its head is %q; as GGUF alma writes language models", o.Source, m.Head)
	}
	template, err := chat.For(tok)
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", o.Source, err)
	}
	folder, file := o.folder()
	if err := o.checkOut(folder); err != nil {
		return nil, err
	}
	if err := artifact.MakeFolder(folder); err != nil {
		return nil, err
	}
	r := &Report{Path: o.Path(), Format: o.Format, Type: o.Type}
	lines := lineage(o.Source)
	files := map[string][]byte{}
	from := "."
	if o.Format == GGUF {
		from = "./" + file
		err = r.writeGGUF(m, tok, chat.Ends(tok, template, m.EndTokens()...), o, aboutOf(o.Source, lines))
	} else {
		if files, err = r.writeFolder(m, tok, template, o); err == nil {
			err = embed.CopySettings(o.Source, o.Out)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", o.Source, err)
	}
	if m.Head == model.LanguageModel {
		text, why := modelfile(from, tok, template, m)
		files["Modelfile"], r.Template = text, "written"
		if why != "" {
			r.Template = why
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := artifact.WriteFile(filepath.Join(folder, name), files[name]); err != nil {
			return nil, fmt.Errorf("exporting %s: %w", o.Source, err)
		}
		r.Files = append(r.Files, name)
	}
	var failed error
	if r.Check, failed = check(ctx, m, tok, template, o); failed != nil && !errors.Is(failed, artifact.ErrCheckNotMet) {
		return nil, failed
	}
	if err := artifact.WriteFile(filepath.Join(folder, "README.md"), card(m, tok, o, r, lines)); err != nil {
		return nil, fmt.Errorf("exporting %s: %w", o.Source, err)
	}
	r.Files = append(r.Files, "README.md")
	return r, failed
}

// checkOut refuses to overwrite what no export wrote, and the source.
func (o Options) checkOut(folder string) error {
	source, err := os.Stat(o.Source)
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	for _, path := range []string{folder, o.Path()} {
		if info, err := os.Stat(path); err == nil && os.SameFile(source, info) {
			return artifact.Errorf(artifact.ErrUsage, "choosing where to export: %s is the model itself; give another path", path)
		}
	}
	for _, name := range []string{"README.md", "Modelfile"} {
		path := filepath.Join(folder, name)
		switch data, err := os.ReadFile(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("choosing where to export: %w", err)
		case !bytes.Contains(data, []byte(mark)):
			return artifact.Errorf(artifact.ErrUsage, "choosing where to export: %s was not written by an export and would be lost; give a folder of its own", path)
		}
	}
	return nil
}

func (r *Report) writeGGUF(m *model.Model, tok *tokenizer.Tokenizer, ends []int32, o Options, about file.About) error {
	return r.write(r.Path, func(w io.Writer) error {
		halves, err := file.WriteGGUF(w, m, tok, ends, about, ggufTypes[o.Type])
		if halves > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%d matrices have rows that are no multiple of 32 and were written as F16", halves))
		}
		return err
	})
}

// write writes the weights' file.
func (r *Report) write(path string, content func(io.Writer) error) (err error) {
	r.Bytes, err = artifact.WriteContent(path, content)
	return err
}

// writeFolder writes the weights of a Hugging Face folder and returns the other
// files.
func (r *Report) writeFolder(m *model.Model, tok *tokenizer.Tokenizer, template *chat.Template, o Options) (map[string][]byte, error) {
	kind := types[HuggingFace][o.Type]
	path := filepath.Join(o.Out, weightsFile)
	if err := r.write(path, func(w io.Writer) error { return file.WriteWeights(w, m, kind) }); err != nil {
		return nil, err
	}
	files, err := tok.Files()
	if err != nil {
		return nil, err
	}
	if files["config.json"], err = file.MarshalConfig(m.Config, kind); err != nil {
		return nil, err
	}
	if m.Head == model.LanguageModel {
		if files[file.GenerationFile], err = file.MarshalGeneration(m, chat.Ends(tok, template, m.EndTokens()...), 1); err != nil {
			return nil, err
		}
	}
	return files, nil
}
