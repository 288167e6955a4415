package ppo

import (
	"bytes"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// sameTokenizer checks that a model reads the tokens that the policy writes.
func sameTokenizer(policy *tokenizer.Tokenizer, policyFolder, folder string) error {
	other, err := file.LoadTokenizer(folder)
	if err != nil {
		return err
	}
	var files [2]map[string][]byte
	for i, t := range []*tokenizer.Tokenizer{policy, other} {
		if files[i], err = t.Files(); err != nil {
			return err
		}
	}
	if !bytes.Equal(files[0][tokenizer.TokenizerFile], files[1][tokenizer.TokenizerFile]) {
		return artifact.Errorf(artifact.ErrUsage, "configuring ppo: the tokenizers of the policy %s and of %s differ; both must have one tokenizer: train both from one model", policyFolder, folder)
	}
	return nil
}
