package tokenizer

import (
	"encoding/json"
	"reflect"
	"strings"
)

// The pre-tokenizers of byte-level vocabularies by the names that GGUF files give
// them (tokenizer.ggml.pre): those of llama.cpp, whose list names the published
// models. The expressions are those of the models' tokenizer.json where that is known
// to differ in writing from llama.cpp's own, which cuts the same.
//
// Left out are names of vocabularies that are not of bytes (gemma4, sarvam-moe,
// granite-embed-multi-311m, whitespace) and of encoders that llama.cpp puts a
// separator behind (jina-v1-en, jina-v2-code, roberta-bpe).

// preTokenizer is one of them.
type preTokenizer struct {
	names     []string // the first is the one that is written
	describe  func() description
	whole     bool // ignore_merges: a piece that is a token is one
	beginning bool // bos_token stands before a text where the file does not say
}

const (
	// Qwen 3.5: marks go with letters.
	patternQwen35 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// Mistral's Tekken: o200k's without contractions, digits one by one.
	patternTekken = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// o200k's with digits one by one (Youtu).
	patternO200kDigits = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// Kimi K2: o200k's with runs of Han by themselves.
	patternKimi = `[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// DeepSeek V3: words, behind a mark of ASCII or another character; marks.
	patternDeepSeek3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
	// Spark 2.5: the same, line ends one by one.
	patternSpark = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\r\n]|\\s+(?!\\S)|\\s+"
	// Bailing: one line end at a time, possessive repeats.
	patternBailing = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
	// Seed-Coder: no line ends with marks.
	patternSeed = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
	// Qwen 2's without contractions.
	patternUfakzeka = `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// EXAONE MoE: words of several letters with spaces between, each with its marks.
	patternEXAONE = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`
	// MiniCPM 5: Qwen 2's with digits together, of which a step before has left three.
	patternMiniCPM5 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// Jais 2: Llama 3's with white space in powers of two.
	patternJais2 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`

	patternBloom   = ` ?[^(\s|.,!?…。，、।۔،)]+`
	patternCJK     = `[一-龥぀-ゟ゠-ヿ]+`
	patternCJKWide = `[一-龥ࠀ-一가-퟿]+` // DeepSeek's first models
	patternYoutu   = `[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+`
	patternAFMoE   = `[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+`
	// DeepSeek LLM: the letters that have a case, and marks of ASCII and of Chinese.
	patternCased = `\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`
	patternMarks = `\s?[!-/:-~！-／：-～‘-‟　-。]+`

	patternLines = `[^\n]+|[\n]+`
	threeDigits  = `[0-9][0-9][0-9]`
	anyDigit     = `\p{N}`
	upToThree    = `\p{N}{1,3}`
	allDigits    = `\p{N}+`
)

// preTokenizers are in the order in which a name to write is looked for.
var preTokenizers = []preTokenizer{
	{names: []string{"gpt-2", "gpt2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum", "modern-bert",
		"mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"}, describe: gpt2Description},
	{names: []string{"smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"}, describe: smollmDescription},
	{names: []string{"command-r"}, describe: composed(smollmDescription)},
	{names: []string{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"},
		describe: splitAt(patternLlama3), whole: true, beginning: true},
	{names: []string{"smaug-bpe", "dbrx", "chatglm-bpe", "glm4"}, describe: splitAt(patternLlama3)},
	{names: []string{"qwen2", "deepseek-r1-qwen", "megrez"}, describe: qwen2Description},
	{names: []string{"stablelm2", "hunyuan", "solar-open", "grok-2", "kormo", "f2llmv2"}, describe: splitAt(patternQwen2)},
	{names: []string{"qwen35"}, describe: composed(splitAt(patternQwen35))},
	{names: []string{"gpt-4o", "kanana2", "talkie", "minimax-m2"}, describe: splitAt(patternO200k)},
	{names: []string{"llama4", "granite-embed-multi-97m"}, describe: splitAt(patternO200k), whole: true},
	{names: []string{"tekken"}, describe: splitAt(patternTekken), whole: true, beginning: true},
	{names: []string{"deepseek-llm"}, describe: splitAt("[\r\n]", patternCased, patternMarks, `\s+$`, patternCJKWide, allDigits)},
	{names: []string{"deepseek-coder"}, describe: splitAt("[\r\n]", `\s?\p{L}+`, `\s?\p{P}+`, patternCJKWide, anyDigit)},
	{names: []string{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"}, describe: splitAt(upToThree, patternCJK, patternDeepSeek3)},
	{names: []string{"spark2_5"}, describe: splitAt(upToThree, patternCJK, patternSpark, anyDigit)},
	{names: []string{"youtu"}, describe: splitAt(patternYoutu, patternO200kDigits), whole: true},
	{names: []string{"falcon"}, describe: splitAt("[\\p{P}\\$\\+<=>\\^~\\|`]+", patternGPT2, threeDigits)},
	{names: []string{"bloom", "poro-chat", "gpt3-finnish"}, describe: splitAt(patternBloom)},
	{names: []string{"viking"}, describe: splitAt(patternBloom, anyDigit)},
	{names: []string{"jais-2"}, describe: splitAt(patternJais2)},
	{names: []string{"chameleon"}, describe: splitAt(`<sentinel:[0-9]+>`, `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`, `([\t\n]|    |  )`, anyDigit, "[\\p{P}!-/:-@\\[-`{-~]", patternGPT2), beginning: true},
	{names: []string{"tiny_aya", "cohere2moe"}, describe: splitAt(patternWordThousands, patternO200k)},
	{names: []string{"kimi-k2"}, describe: splitAt(patternKimi)},
	{names: []string{"superbpe"}, describe: splitAt(allDigits, patternThousands)},
	{names: []string{"bailingmoe", "bailingmoe2", "llada-moe"}, describe: splitAt(patternBailing)},
	{names: []string{"seed-coder"}, describe: splitAt(patternSeed)},
	{names: []string{"ufakzeka"}, describe: splitAt(patternUfakzeka)},
	{names: []string{"afmoe"}, describe: splitAt(patternAnyThousands, patternAFMoE, patternDeepSeek3)},
	{names: []string{"laguna"}, describe: splitAt(patternLines, patternQwen2)},
	{names: []string{"exaone-moe"}, describe: splitAt(patternEXAONE)},
	{names: []string{"minicpm5"}, describe: splitAt(upToThree, patternMiniCPM5), whole: true},
	{names: []string{"default"}, describe: splitAt(`[\p{P}\$\+<=>\^~\|]+`, patternGPT2, allDigits, threeDigits)},
}

// preTokenizerOf finds one by its name.
func preTokenizerOf(name string) (p preTokenizer, ok bool) {
	for _, p := range preTokenizers {
		for _, n := range p.names {
			if n == name {
				return p, true
			}
		}
	}
	return p, false
}

// preTokenizerNames lists the names.
func preTokenizerNames() string {
	var names []string
	for _, p := range preTokenizers {
		names = append(names, p.names...)
	}
	return strings.Join(names, ", ")
}

// BeginsText tells whether bos_token stands before a text in a file that names a
// pre-tokenizer and does not say.
func BeginsText(pre string) bool {
	p, _ := preTokenizerOf(pre)
	return p.beginning
}

const byteLevelJSON = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`

func gpt2Description() description {
	return description{preTokenizer: json.RawMessage(byteLevelJSON), decoder: json.RawMessage(byteLevelJSON)}
}

func smollmDescription() description {
	return description{
		preTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},` + byteLevelJSON + `]}`),
		decoder:      json.RawMessage(byteLevelJSON),
	}
}

// splitDescription cuts at expressions, one after the other.
func splitDescription(expressions ...string) description {
	var steps strings.Builder
	for _, e := range expressions {
		steps.WriteString(`{"type":"Split","pattern":{"Regex":` + quote(e) + `},"behavior":"Isolated","invert":false},`)
	}
	return description{
		preTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[` + steps.String() + `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`),
		decoder:      json.RawMessage(byteLevelJSON),
	}
}

func splitAt(expressions ...string) func() description {
	return func() description { return splitDescription(expressions...) }
}

// composed normalises by NFC before.
func composed(describe func() description) func() description {
	return func() description {
		d := describe()
		d.normalizer = json.RawMessage(`{"type":"NFC"}`)
		return d
	}
}

func qwen2Description() description { return composed(splitAt(patternQwen2))() }

// entry is a step of a pre-tokenizer as far as it says where to cut.
type entry struct {
	Type          string
	Pattern       struct{ Regex, String string }
	Behavior      string
	Invert        bool
	Digits        bool  `json:"individual_digits"`
	Regex         *bool `json:"use_regex"`
	PreTokenizers []entry
}

// entriesOf lists the steps of a pre-tokenizer in one way of writing.
func entriesOf(preTokenizer json.RawMessage) []entry {
	var e entry
	if json.Unmarshal(preTokenizer, &e) != nil {
		return nil
	}
	list := e.PreTokenizers
	if e.Type == "ByteLevel" {
		list = []entry{e}
	}
	isolated := func(expression string) entry {
		e := entry{Type: "Split", Behavior: "Isolated"}
		e.Pattern.Regex = expression
		return e
	}
	for i, e := range list {
		switch {
		case e.Type == "ByteLevel" && (e.Regex == nil || *e.Regex):
			list[i] = isolated(patternGPT2)
		case e.Type == "ByteLevel":
			list[i] = entry{Type: "ByteLevel"}
		case e.Type == "Digits" && e.Digits:
			list[i] = isolated(anyDigit)
		case e.Type == "Split" && e.Behavior == "Removed" && e.Invert && patterns[e.Pattern.Regex] != nil:
			list[i] = isolated(e.Pattern.Regex) // it matches every character
		}
	}
	if n := len(list); n > 1 && list[n-1].Type == "ByteLevel" {
		list = list[:n-1]
	}
	return list
}

// preName finds the name that GGUF files give a pre-tokenizer, "" if there is none:
// rather one that agrees about ignore_merges.
func preName(d description, whole bool) (name string) {
	steps := entriesOf(d.preTokenizer)
	for _, p := range preTokenizers {
		if reflect.DeepEqual(entriesOf(p.describe().preTokenizer), steps) {
			if p.whole == whole {
				return p.names[0]
			}
			if name == "" {
				name = p.names[0]
			}
		}
	}
	return name
}
