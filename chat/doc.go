// Package chat holds what a dialogue is, and makes tokens of it in the form that a
// model knows: ChatML, for models trained here, or the Jinja chat template that a
// model came with.
//
//	t, err := chat.For(tok)
//	ids, err := t.RenderPrompt(messages, "")             // for a model to go on from
//	ids, mask, err := t.RenderChat(messages, false)      // for a model to learn from
//
// # Terms
//
// A Dialogue is Messages, each a turn with a role and a content. A prefill is the
// beginning of an answer that the prompt gave. Tools are functions that the assistant
// may call; its calls are words of its own, and what they return is a turn of the Tool.
//
// A rendering is the text of a dialogue as the template writes it. A guard is a
// character that no text has (one of the noncharacters U+FDD0 … U+FDEF): it
// stands inside the special tokens' names that messages spell out, so that they
// stay text. A mask tells which tokens are the assistant's words. The end token
// is the special token that the template writes after them.
//
// # The process that renders
//
// A template is a program that came with a file from elsewhere. It runs in a
// child process, which has no open files but two pipes, cannot open others, has
// an empty environment, and limits on its memory and stack; a rendering that does
// not end in time is killed with it. The child is the program itself, started with
// the argument Verb: a program that uses this package with templates of others
// calls Serve there, first of all, and so does the TestMain of its tests. One child
// serves all templates; after a kill the next rendering starts another.
//
// # What it is not
//
// The Jinja language itself is package jinja. The shapes of people's files of dialogues
// are package dataset's.
package chat
