// Package recipe reads a recipe: one YAML file that configures every stage of
// a run, checked against typed Go structs and resolved so that each value
// knows where it comes from.
//
// Terms:
//
//   - A configuration is a Go struct; its fields that are structs are sections
//     (one per stage), all others are values. The yaml tag of a field is its
//     name; a key is the path of names, `ppo.beta`. Embedded structs without a
//     tag lend their fields to the struct around them.
//   - An origin says who decided a value: the default in the code, a line of
//     the recipe, a --set on the command line, or the derivation from the
//     budget. Later ones win in the order default, derived, recipe, --set.
//   - The budget is the top-level value `budget`, the time that a run may
//     take. A derivation turns it into values for keys that nobody set.
//
// Tags that describe and restrict a value:
//
//	type PPO struct {
//		Beta     float64 `yaml:"beta" doc:"weight of the KL penalty" min:"0"`
//		LR       float64 `yaml:"lr" doc:"peak learning rate" above:"0"`
//		Schedule string  `yaml:"schedule" doc:"decay of lr" enum:"cosine,linear"`
//	}
//	type Config struct {
//		Budget time.Duration `yaml:"budget" doc:"time for the whole run"`
//		PPO    PPO           `yaml:"ppo"`
//	}
//
//	config := Config{PPO: PPO{Beta: .1, LR: 3e-4, Schedule: "cosine"}}
//	resolved, err := recipe.Load("run.yaml", &config, recipe.Options{Set: []string{"ppo.beta=.05"}})
//
// min and max are inclusive, above is exclusive; on lists they and enum hold
// for every element. Values are booleans, integers, floats, strings,
// time.Duration (written 15m, 2h), types that implement
// encoding.TextUnmarshaler, lists of these, and lists of structs. A list in
// the recipe replaces the default list. A struct whose pointer has the method
// Validate() error is asked last, once everything is resolved.
//
// Reading is strict: unknown and repeated keys, wrong types, anchors, aliases,
// merge keys, explicit tags and a second document are errors, all of them
// reported at once, each with file, line, key, what was found and what is
// allowed.
//
// The package knows no stage and runs none.
package recipe
