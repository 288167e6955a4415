// Package classify fine-tunes a model to name the class of a text: the output
// layer of a language model or an encoder is left out, and a layer with random
// weights and one output per class takes its place (Devlin et al. 2019, section
// 4.1; Radford et al. 2018, section 3.2).
//
// Terms:
//
//   - text: what is classified, with the special tokens that the tokenizer puts
//     around a text. One that is longer than the context is cut at its end,
//     and counted.
//   - label: the name of a class. Those of the training texts, in order, are
//     the classes; config.json keeps them as id2label.
//   - state of a text: what the classes are read from, an encoder's first token
//     through the pooler, a decoder's last token.
//   - body: everything below the new layers. It may be frozen, which trains
//     those alone.
//   - held out: texts to measure on and not to learn, a file of their own or a
//     share that a hash of the text picks, the same in every run.
//
// [Run] is the stage, [Classifier] what names classes afterwards:
//
//	m, tok, err := train.LoadModel(engine, "runs/spam")
//	c, err := classify.NewClassifier(m, 8, m.Context)
//	text, _ := dataset.EncodeText(tok, "free prize, call now", m.Context)
//	probabilities, err := c.Probabilities(ctx, [][]int32{text})
//
// It does not give a text several labels at once or none, and does not label
// tokens within a text.
package classify
