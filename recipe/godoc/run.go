package godoc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus/godoc"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train/ppo"
	"github.com/seed-b72bdb6c/alma/train/pretrain"
	"github.com/seed-b72bdb6c/alma/train/reward"
	"github.com/seed-b72bdb6c/alma/train/sft"
)

// stage is one stage of the recipe.
type step struct {
	name   string
	kind   string // of its artifact
	config any
	inputs map[string]string // role → path
	run    func(out string) (*artifact.Manifest, error)
}

func stagePath(folder, name string) string { return filepath.Join(folder, name) }

// stages lists the recipe's stages in order for a run folder.
func (c Config) stages(ctx context.Context, env stage.Environment, folder string) []step {
	at := func(name string) string { return filepath.Join(folder, name) }
	c = c.seeded().InPrecision()
	dialogues, rankings := at("dialogues"), stagePath(at("rankings"), rankingsFile)
	training := stagePath(dialogues, trainFile)
	if c.Dialogues.Train != "" {
		training = c.Dialogues.Train
	}
	held := stagePath(at("rankings"), validationRankingsFile)
	if c.Rankings.File != "" {
		rankings, held = c.Rankings.File, ""
	}
	rewardInputs := reward.Inputs{Base: at("sft"), Rankings: rankings, Validation: held, Demonstrations: stagePath(dialogues, validationFile)}
	rewardReads := map[string]string{"base": rewardInputs.Base, "rankings": rankings, "demonstrations": rewardInputs.Demonstrations}
	if held != "" {
		rewardReads["validation"] = held
	}
	ppoReads := map[string]string{"policy": at("sft"), "critic": at("reward"), "prompts": stagePath(dialogues, promptsFile)}
	rewardModel := at("reward")
	if c.PPO.RewardCommand != "" {
		rewardModel = ""
	} else {
		ppoReads["reward"] = rewardModel
	}
	if c.PPO.PretrainCoef > 0 {
		ppoReads["text"] = at("pretrain/shards/train")
	}
	dialoguesReads := goReads(c.Corpus)
	dialoguesReads["tokenizer"] = at("tokenizer")
	list := []step{
		{"corpus", "corpus", c.Corpus, goReads(c.Corpus), func(out string) (*artifact.Manifest, error) {
			return buildCorpus(ctx, env, c.Corpus, out)
		}},
		{"tokenizer", "tokenizer", c.Tokenizer, map[string]string{"corpus": at("corpus")}, func(out string) (*artifact.Manifest, error) {
			return trainTokenizer(ctx, env, c.Tokenizer, at("corpus"), out)
		}},
		{"pretrain", "pretrain", c.Pretrain, map[string]string{"corpus": at("corpus"), "tokenizer": at("tokenizer")}, func(out string) (*artifact.Manifest, error) {
			return pretrain.Run(ctx, env, c.Pretrain, pretrain.Inputs{Corpus: at("corpus"), Tokenizer: at("tokenizer")}, out)
		}},
		{"dialogues", "dialogues", map[string]any{"dialogues": c.Dialogues, "corpus": c.Corpus}, dialoguesReads, func(out string) (*artifact.Manifest, error) {
			return makeDialogues(ctx, env, c, at("tokenizer"), out)
		}},
		{"sft", "sft", c.SFT, map[string]string{"base": at("pretrain"), "dialogues": training, "validation": stagePath(dialogues, validationFile)}, func(out string) (*artifact.Manifest, error) {
			return sft.Run(ctx, env, c.SFT, sft.Inputs{Base: at("pretrain"), Train: training, Validation: stagePath(dialogues, validationFile)}, out)
		}},
		{"rankings", "rankings", c.Rankings, map[string]string{"dialogues": dialogues, "model": at("sft")}, func(out string) (*artifact.Manifest, error) {
			return rank(ctx, env, c, dialogues, at("sft"), out)
		}},
		{"reward", "reward", c.Reward, rewardReads, func(out string) (*artifact.Manifest, error) {
			return reward.Run(ctx, env, c.Reward, rewardInputs, out)
		}},
		{"ppo", "ppo", c.PPO, ppoReads, func(out string) (*artifact.Manifest, error) {
			return ppo.Run(ctx, env, c.PPO, ppo.Inputs{
				Policy: at("sft"), Critic: at("reward"), Prompts: stagePath(dialogues, promptsFile), Text: at("pretrain/shards/train"),
				RewardModel: rewardModel,
			}, out)
		}},
		{"evaluate", "evaluate", c.Evaluate, map[string]string{"dialogues": dialogues, "sft": at("sft"), "ppo": at("ppo"), "reward": at("reward"), "rankings": at("rankings"), "text": at("pretrain/shards/validation")}, func(out string) (*artifact.Manifest, error) {
			return evaluateModels(ctx, env, c, evaluationInputs{dialogues, at("sft"), at("ppo"), at("reward"), at("pretrain/shards/validation"), at("rankings")}, out)
		}},
	}
	return list
}

// goReads is what is recorded of the Go installation that a stage reads: the
// file that says which version it is, if it has one.
func goReads(c CorpusConfig) map[string]string {
	reads := map[string]string{}
	if root, err := godoc.FindRoot(c.GOROOT); err == nil { // else the stage itself says so
		if path := filepath.Join(root, "VERSION"); isFile(path) {
			reads["go"] = path
		}
	}
	return reads
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// seeded adds the run's seed to those of the stages.
func (c Config) seeded() Config {
	c.Pretrain.Seed += c.Seed
	c.SFT.Seed += c.Seed
	c.Rankings.Seed += c.Seed
	c.Reward.Seed += c.Seed
	c.PPO.Seed += c.Seed
	c.Evaluate.Seed += c.Seed
	return c
}

// Run takes a run folder through all stages, leaving out those whose
// configuration and inputs did not change, and continuing one that was
// interrupted. The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, folder string) error {
	if err := c.checkOwnData(); err != nil {
		return err
	}
	stages := c.stages(ctx, env, folder)
	for i, s := range stages {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		out := filepath.Join(folder, s.name)
		same, complete, err := unchanged(s, out)
		if err != nil {
			return err
		}
		if same {
			env.Log.Printf("[%d/%d] %s: unchanged", i+1, len(stages), s.name)
			continue
		}
		env.Log.Printf("[%d/%d] %s: %s", i+1, len(stages), s.name, stageTexts[i].aim)
		// What an earlier configuration or input left must not be continued: the
		// later stages go first, so that an interruption leaves none behind that
		// looks as if it belonged to this one.
		stale := stages[i+1:]
		if complete {
			stale = stages[i:]
		}
		for _, old := range slices.Backward(stale) {
			if err := removeStage(filepath.Join(folder, old.name)); err != nil {
				return fmt.Errorf("removing the stale stage %s of %s: %w", old.name, folder, err)
			}
		}
		m, err := s.runLocked(out)
		if err != nil {
			return fmt.Errorf("stage %s: %w", s.name, err)
		}
		env.Log.Printf("[%d/%d] %s: done in %s", i+1, len(stages), s.name, span(m.WallSeconds))
	}
	return nil
}

// IsRun reports whether a folder is that of a run ([SaveRecipe]).
func IsRun(folder string) bool { return isFile(filepath.Join(folder, recipeFile)) }

// runLocked runs a stage while the process holds the lock of its folder as
// well: a verb that was given the folder itself knows nothing of the run's.
func (s step) runLocked(out string) (m *artifact.Manifest, err error) {
	claim, err := artifact.MakeAndLock(out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, claim.End(err)) }()
	return s.run(out)
}

// removeStage removes a stage's folder unless a process works in it.
func removeStage(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := artifact.Lock(path)
	if err != nil {
		return err
	}
	if err := lock.Unlock(); err != nil { // some systems rename no folder with an open file
		return err
	}
	return artifact.RemoveFolder(path)
}

// checkOwnData reads the files of the user's before hours of work come to need
// them, and before anything that is finished makes way for work with them.
func (c Config) checkOwnData() error {
	for _, own := range []struct {
		key, path string
		read      func(path string) error
	}{
		{"dialogues.train", c.Dialogues.Train, func(path string) error { _, err := dataset.ReadDialogues(path); return err }},
		{"rankings.file", c.Rankings.File, func(path string) error { _, err := dataset.ReadRankings(path); return err }},
	} {
		if own.path == "" {
			continue
		}
		if info, err := os.Stat(own.path); err == nil && info.IsDir() {
			return artifact.Errorf(artifact.ErrUsage, "opening your own data: %s: %s is a folder; give a JSONL file", own.key, own.path)
		}
		if err := own.read(own.path); err != nil {
			return fmt.Errorf("opening your own data: %s: %w", own.key, err)
		}
	}
	return nil
}

// unchanged reports whether a stage's folder is complete with this
// configuration and these inputs, and whether it is complete at all.
func unchanged(s step, out string) (same, complete bool, err error) {
	m, err := artifact.Open(out, true)
	if errors.Is(err, artifact.ErrNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("%w; delete %s to run the stage again", err, out)
	}
	inputs := make(map[string]string)
	for role, path := range s.inputs {
		sum, err := artifact.HashInput(path)
		if err != nil {
			return false, true, err
		}
		inputs[role] = sum
	}
	config, err := json.Marshal(s.config)
	if err != nil {
		return false, true, fmt.Errorf("encoding the configuration of %s: %w", s.name, err)
	}
	fingerprint, err := artifact.Fingerprint(s.kind, json.RawMessage(config), inputs)
	if err != nil {
		return false, true, err
	}
	return fingerprint == m.Fingerprint, true, nil
}
