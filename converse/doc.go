// Package converse is a conversation of a person with a model: what was said, how the
// next answer is sampled, and the terminal in which it happens.
//
//	talk, err := converse.New(m, tok)
//	answer, err := talk.Say(ctx, "Hello", func(part string) { fmt.Print(part) })
//
// Terms:
//
//   - turn: what the user says, or what the model answers.
//   - cut: an answer that did not come to its own end, because the user stopped it or
//     it was as long as it may be. It stays in the conversation; where that is saved,
//     it is marked so that nobody learns to break off.
//   - setting: a value of the sampling, with where it comes from.
//   - command: a line such as /retry, which speaks to the program and not to the model.
//
// [Conversation] knows no terminal, [Session] none but a [LineReader], and [Editor] is
// that of a terminal.
package converse
