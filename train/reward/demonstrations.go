package reward

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
)

// loadDemonstrations returns dialogues up to the end of the assistant's last
// turn, at most c.Demonstrations of them.
func loadDemonstrations(template *chat.Template, path string, c Config, length int) ([][]int32, *dataset.Account, error) {
	chats, err := dataset.ReadDialogues(path, c.Reading)
	if err != nil {
		return nil, nil, err
	}
	var texts [][]int32
	err = chats.Keep(func(_ int, d chat.Dialogue) error {
		e, err := dataset.ExampleOf(template, d)
		if err != nil {
			return err
		}
		end := len(e.Tokens)
		for end > 0 && !e.Trained[end-1] {
			end--
		}
		if end <= length {
			texts = append(texts, e.Tokens[:end])
		}
		return nil
	})
	if err != nil {
		return nil, chats.Account, err
	}
	if len(texts) == 0 {
		return nil, chats.Account, artifact.Errorf(artifact.ErrUsage, "reading demonstrations %s: none of %d fits into %d tokens; give a longer context or shorter dialogues", path, len(chats.Rows), length)
	}
	if c.Demonstrations == 0 || c.Demonstrations >= len(texts) {
		return texts, chats.Account, nil
	}
	drawn := make([][]int32, c.Demonstrations)
	order := compute.Permutation(c.Seed, compute.Stream("demonstrations"), len(texts))
	for i := range drawn {
		drawn[i] = texts[order[i]]
	}
	return drawn, chats.Account, nil
}
