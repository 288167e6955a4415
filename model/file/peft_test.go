package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
)

const peftExample = `{"peft_type":"LORA","base_model_name_or_path":"base","r":4,"lora_alpha":8,"target_modules":["q_proj"],"bias":"none","lora_dropout":0.1,"use_dora":false,"rank_pattern":{}}`

func TestAdapterConfigIsRefusedByTheKeyThatAlmaDoesNotHave(t *testing.T) {
	if a, err := ParseAdapterConfig("adapter_config.json", []byte(peftExample)); err != nil || a.Rank != 4 || a.Alpha != 8 || a.Base != "base" {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"use_dora":false`, `"use_dora":true`, `key "use_dora" asks for something that alma does not have (its value is true)`},
		{`"bias":"none"`, `"bias":"all"`, `key "bias"`},
		{`"rank_pattern":{}`, `"rank_pattern":{"q_proj":2}`, `key "rank_pattern"`},
		{`"use_dora":false`, `"use_rslora":true`, `key "use_rslora" is true`},
		{`"use_dora":false`, `"init_lora_weights":"pissa"`, `key "init_lora_weights" is "pissa"`},
		{`"LORA"`, `"IA3"`, `peft_type is "IA3"; alma has LORA`},
		{`["q_proj"]`, `7`, `target_modules is 7`},
		{`"use_dora":false`, `"new_thing":[1]`, `key "new_thing"`},
	} {
		_, err := ParseAdapterConfig("adapter_config.json", []byte(strings.Replace(peftExample, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || artifact.ExitCode(err) != 4 {
			t.Errorf("%s: %v, want %s and exit code 4", c.new, err, c.want)
		}
	}
	if _, err := ParseAdapterConfig("adapter_config.json", []byte("{")); artifact.ExitCode(err) != 12 {
		t.Errorf("%v, want exit code 12", err)
	}
}

func TestAnAdapterOfALanguageModelIsNotPutOnAnotherHead(t *testing.T) {
	engine, folder := reference.New(), t.TempDir()
	lm := newModel(t, engine, tiny(model.Llama), 1)
	if err := lm.AddAdapter(model.Adapter{Rank: 2, Alpha: 4, Targets: []string{"q_proj"}}, 1); err != nil {
		t.Fatal(err)
	}
	files, err := AdapterFiles(lm, "base")
	if err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteContents(folder, files); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		c    model.Config
		code int
	}{{tiny(model.Llama), 0}, {tiny(model.Llama).WithHead(model.NoHead), 0}, {tiny(model.Llama).WithHead(model.Scalar), 4}, {tiny(model.Llama).WithHead(model.Classes, "no", "yes"), 4}} {
		err := LoadAdapter(newModel(t, engine, test.c, 1), folder)
		if artifact.ExitCode(err) != test.code || err != nil && !strings.Contains(err.Error(), string(test.c.Head)) {
			t.Errorf("head %q: %v, want exit code %d", test.c.Head, err, test.code)
		}
	}
}

func TestAnAdapterWithAHeadIsNotPutOnAModelWithoutIt(t *testing.T) {
	folder := t.TempDir()
	config := strings.Replace(peftExample, `"bias"`, `"task_type":"SEQ_CLS","modules_to_save":["score"],"bias"`, 1)
	if err := os.WriteFile(filepath.Join(folder, AdapterConfigFile), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	err := LoadAdapter(newModel(t, reference.New(), tiny(model.Llama), 1), folder)
	if artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), `of ["score"] one was trained whole`) {
		t.Errorf("%v, want exit code 4 and the module", err)
	}
}

func FuzzParseAdapterConfig(f *testing.F) {
	f.Add([]byte(peftExample))
	f.Add([]byte(`{"peft_type":"LORA","target_modules":"all-linear"}`))
	engine := reference.New()
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := ParseAdapterConfig("adapter_config.json", data); err == nil {
			// Whatever it says, it is put on a model or refused.
			_ = newModel(t, engine, tiny(model.Llama), 1).AddAdapter(a.Adapter, 1)
		}
	})
}
