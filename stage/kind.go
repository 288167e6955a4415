package stage

// Kind says what an artifact, or a file that a user brings, is good for.
type Kind string

// The kinds.
const (
	Folder    Kind = "folder of texts"
	Corpus    Kind = "corpus"
	Tokenizer Kind = "tokenizer"
	Shards    Kind = "token shards"

	TokenizedCorpus Kind = "tokenised corpus" // token shards of its training and its validation text
	Model           Kind = "language model"
	Encoder         Kind = "encoder"
	RewardModel     Kind = "reward model"
	Classifier      Kind = "classifier"
	Adapter         Kind = "adapter"
	Dialogues       Kind = "dialogues"
	Prompts         Kind = "prompts"
	Answers         Kind = "answers" // sampled, not yet in order
	Rankings        Kind = "rankings"
	LabelledText    Kind = "labelled texts"
	PlainText       Kind = "plain text"
	Evaluation      Kind = "evaluation"
	Export          Kind = "exported model"
)

// Of lists kinds.
func Of(kinds ...Kind) []Kind { return kinds }

// AnyModel lists the kinds that are a model with weights.
var AnyModel = Of(Model, RewardModel, Classifier, Encoder)
