package export

import (
	"bytes"
	"cmp"
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
	"github.com/seed-b72bdb6c/alma/evaluate"
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

// folderTypes are the types of a folder's weights, by those of a GGUF file: the whole
// file is of one.
var folderTypes = map[string]gguf.Type{"f32": gguf.F32, "f16": gguf.F16, "bf16": gguf.BF16}

// TypesOf lists the types of weights that a format has, from the largest to the
// smallest.
func TypesOf(format string) (names []string) {
	for _, m := range file.Mixtures {
		if _, ok := folderTypes[m.Name]; ok || format == GGUF {
			names = append(names, m.Name)
		}
	}
	return names
}

// Options say what is written.
type Options struct {
	Source string // where the model was opened: its lineage is read there
	Format string // HuggingFace or GGUF
	Type   string // one of TypesOf the format
	// Out is a folder, or for GGUF a path that ends in .gguf: then Modelfile and
	// README.md lie beside that file.
	Out string
	// Text is what the cost is measured on, as of evaluate.ReadTokens; "": it is not.
	Text      string
	MaxTokens int // of the text, from its beginning; 0: DefaultTokens
	// Progress, if not nil, is told of the windows of the text that are measured.
	Progress func(done, all int)
}

// DefaultTokens is how many tokens of a text the cost is measured on where nothing else
// is said: enough for an interval of about a percent.
const DefaultTokens = 10240

// Quantized tells whether the weights' elements share scales.
func (o Options) Quantized() bool {
	m, _ := file.MixtureOf(o.Type)
	return m.Quantized()
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	if o.Format != HuggingFace && o.Format != GGUF {
		return artifact.Errorf(artifact.ErrUsage, "exporting: format %q is not %q or %q", o.Format, HuggingFace, GGUF)
	}
	if known := TypesOf(o.Format); !slices.Contains(known, o.Type) {
		return artifact.Errorf(artifact.ErrUsage, "exporting: the format %s has no type %q; it has %s", o.Format, o.Type, strings.Join(known, ", "))
	}
	if o.MaxTokens < 0 {
		return artifact.Errorf(artifact.ErrUsage, "exporting: %d tokens of text, want 0 (10,240) or more", o.MaxTokens)
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
	Path   string `json:"path"` // folder or GGUF file
	Format string `json:"format"`
	Type   string `json:"dtype"`
	Bytes  int64  `json:"bytes"` // of the weights' file
	// Matrices counts a GGUF file's matrices by their types.
	Matrices map[string]int `json:"matrices,omitempty"`
	Files    []string       `json:"files"` // beside it, by name
	Notes    []string       `json:"notes,omitempty"`
	Template string         `json:"ollama_template"` // "written", or why not
	Check    Check          `json:"check"`
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
	folder, name := o.folder()
	if err := o.checkOut(folder); err != nil {
		return nil, err
	}
	var text []int32
	if o.Text != "" {
		if m.Head != model.LanguageModel {
			return nil, artifact.Errorf(artifact.ErrUsage, "exporting %s: its head is %q, which foretells no text: what the type costs cannot be measured on one", o.Source, m.Head)
		}
		if text, err = evaluate.ReadTokens(ctx, tok, o.Text, cmp.Or(o.MaxTokens, DefaultTokens)); err != nil {
			return nil, err
		}
	}
	if err := artifact.MakeFolder(folder); err != nil {
		return nil, err
	}
	r := &Report{Path: o.Path(), Format: o.Format, Type: o.Type}
	lines := lineage(o.Source)
	var stored storage
	files := map[string][]byte{}
	from := "."
	if o.Format == GGUF {
		from = "./" + name
		stored, err = r.writeGGUF(m, tok, chat.Ends(tok, template, m.EndTokens()...), o, lines)
	} else {
		stored.others = folderTypes[o.Type]
		if files, err = r.writeFolder(m, tok, template, o); err == nil {
			err = embed.CopySettings(o.Source, o.Out)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", o.Source, err)
	}
	if m.Head == model.LanguageModel {
		text, why := modelfile(from, o.Type, tok, template, m)
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
	if r.Check, failed = check(ctx, m, tok, template, o, stored, text); failed != nil && !errors.Is(failed, artifact.ErrCheckNotMet) {
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

// storage says how parameters are stored.
type storage struct {
	matrices map[string]gguf.Type // by parameter
	others   gguf.Type            // type of all others
}

func (s storage) of(parameter string) gguf.Type {
	if t, ok := s.matrices[parameter]; ok {
		return t
	}
	return s.others
}

func (r *Report) writeGGUF(m *model.Model, tok *tokenizer.Tokenizer, ends []int32, o Options, lines []ancestor) (s storage, err error) {
	mixture, _ := file.MixtureOf(o.Type) // Check has found it
	from := ggufOf(lines)
	if from != nil {
		defer from.Close()
	}
	var matrices []file.Matrix
	err = r.write(r.Path, func(w io.Writer) error {
		var err error
		matrices, err = file.WriteGGUF(w, m, tok, ends, aboutOf(o.Source, lines), mixture, from)
		return err
	})
	if err != nil {
		return s, err
	}
	s.matrices, r.Matrices = make(map[string]gguf.Type), make(map[string]int)
	for _, x := range matrices {
		s.matrices[x.Parameter] = x.Type
		r.Matrices[x.Type.String()]++
	}
	r.Notes = notes(matrices, from)
	return s, nil
}

// ggufOf opens the nearest GGUF file of a lineage, nil if it has none.
func ggufOf(lines []ancestor) *gguf.File {
	for _, a := range lines {
		if a.note == "" && file.IsGGUF(a.path) {
			if f, err := gguf.Open(a.path); err == nil { // what is none is a text, say
				return f
			}
		}
	}
	return nil
}

// notes tells of the matrices that did not get the type that the mixture has for
// them, and of those that were quantised before.
func notes(matrices []file.Matrix, from *gguf.File) (list []string) {
	type replaced struct {
		wanted, got gguf.Type
		row         int
	}
	var order []replaced
	count, before, kept := map[replaced]int{}, map[string]int{}, 0
	for _, x := range matrices {
		if x.Type != x.Wanted {
			key := replaced{x.Wanted, x.Type, x.Row}
			if count[key]++; count[key] == 1 {
				order = append(order, key)
			}
		}
		switch {
		case x.BlocksKept:
			kept++
		case x.Before.Quantized() && x.Type.Quantized():
			before[x.Before.String()]++
		}
	}
	for _, key := range order {
		elements, _ := key.wanted.Block()
		list = append(list, fmt.Sprintf("%s in place of %s: %s, with rows of %d, no multiple of %d", key.got, key.wanted, ofMatrices(count[key]), key.row, elements))
	}
	if kept > 0 {
		list = append(list, fmt.Sprintf("blocks of %s kept as they are: %s, which so lose nothing", filepath.Base(from.Name()), ofMatrices(kept)))
	}
	if len(before) > 0 {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(before)) {
			parts = append(parts, ofMatrices(before[name])+" as "+name)
		}
		list = append(list, fmt.Sprintf("quantised a second time, as %s holds them quantised: %s", filepath.Base(from.Name()), strings.Join(parts, ", ")))
	}
	return list
}

func ofMatrices(n int) string {
	if n == 1 {
		return "1 matrix"
	}
	return fmt.Sprintf("%d matrices", n)
}

// write writes the weights' file.
func (r *Report) write(path string, content func(io.Writer) error) (err error) {
	r.Bytes, err = artifact.WriteContent(path, content)
	return err
}

// writeFolder writes the weights of a Hugging Face folder and returns the other
// files.
func (r *Report) writeFolder(m *model.Model, tok *tokenizer.Tokenizer, template *chat.Template, o Options) (map[string][]byte, error) {
	kind := folderTypes[o.Type].String()
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
