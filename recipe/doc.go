// Package recipe reads a recipe, one YAML file that lists the stages of a model's life,
// and takes a run folder through it.
//
//	r, err := recipe.Load("assistant.yaml", recipe.Options{Set: []string{"ppo.beta=.05"}})
//	err = r.Check(ctx, "runs/assistant", recipe.Selection{})  // before anything runs
//	plan, err := r.Plan("runs/assistant", peak, memory, recipe.Selection{})
//	err = r.Run(ctx, env, "runs/assistant", recipe.Selection{})
//	page, err := recipe.WriteReport("runs/assistant", "runs/assistant")
//
// Terms:
//
//   - A step is a stage of a recipe: a name, a kind of stage ([Stages] lists them),
//     what its inputs name, and a configuration of the stage's own type.
//   - A reference is what an input names: another step, a part of one (STEP.PART), or a
//     path.
//   - A key is the path of names of a value, `ppo.beta`: a stage's name, then that of a
//     field, which is its yaml tag. Embedded structs without a tag lend their fields to
//     the struct around them.
//   - An origin says who decided a value: the default in the code, the derivation from
//     the budget, a line of the recipe, or a --set on the command line, in rising order.
//   - The budget is the time that a run may take. [Budget] turns it into values for keys
//     that nobody set.
//
// Tags that describe and restrict a value of a configuration:
//
//	type Config struct {
//		Beta     float64 `yaml:"beta" doc:"weight of the KL penalty" min:"0"`
//		LR       float64 `yaml:"lr" doc:"peak learning rate" above:"0"`
//		Schedule string  `yaml:"schedule" doc:"decay of lr" enum:"cosine,linear"`
//	}
//
// min and max are inclusive, above is exclusive; on lists they and enum hold for every
// element. Values are booleans, integers, floats, strings, time.Duration (written 15m,
// 2h), types that implement encoding.TextUnmarshaler, lists of these, and lists of
// structs. A list in the recipe replaces the default list. A struct whose pointer has the
// method Validate() error is asked last, once everything is resolved. The same tags make
// help texts ([Describe]) and the JSON Schema ([Schema]).
//
// Reading is strict: unknown and repeated keys, wrong types, anchors, aliases, merge keys,
// explicit tags and a second document are errors, all of them reported at once, each with
// file, line, caret, key, what was found and what is allowed.
package recipe
