package reward

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
)

// loadDemonstrations returns dialogues up to the end of the assistant's last
// turn, at most c.Demonstrations of them.
func loadDemonstrations(template *chat.Template, path string, c Config, length int) ([][]int32, error) {
	chats, err := dataset.ReadDialogues(path)
	if err != nil {
		return nil, err
	}
	var texts [][]int32
	for i, dialogue := range chats {
		ids, mask, err := template.RenderChat(dialogue.Messages, false)
		if err != nil {
			return nil, fmt.Errorf("reading demonstrations %s: dialogue %d: %w", path, i, err)
		}
		end := len(ids)
		for end > 0 && !mask[end-1] {
			end--
		}
		if end <= length {
			texts = append(texts, ids[:end])
		}
	}
	if len(texts) == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading demonstrations %s: none of %d fits into %d tokens; give a longer context or shorter dialogues", path, len(chats), length)
	}
	if c.Demonstrations == 0 || c.Demonstrations >= len(texts) {
		return texts, nil
	}
	drawn := make([][]int32, c.Demonstrations)
	order := compute.Permutation(c.Seed, compute.Stream("demonstrations"), len(texts))
	for i := range drawn {
		drawn[i] = texts[order[i]]
	}
	return drawn, nil
}
