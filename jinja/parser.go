package jinja

import (
	"fmt"
	"slices"
	"strconv"
)

// A statement is a node of a template that makes output or effects.
type statement interface{}

type (
	dataStatement   struct{ text string }
	outputStatement struct {
		value expression
		line  int
	}
	ifStatement struct {
		branches []branch
		line     int
	}
	forStatement struct {
		targets []string
		over    expression
		filter  expression // nil for none
		body    []statement
		empty   []statement // the else branch
		line    int
	}
	setStatement struct {
		targets   []string
		attribute string // of the namespace targets[0], "" for a variable
		value     expression
		line      int
	}
	// setBlock is {% set name %}…{% endset %}.
	setBlock struct {
		target  string
		filters []filterCall
		body    []statement
		line    int
	}
	filterBlock struct {
		filters []filterCall
		body    []statement
		line    int
	}
	macroStatement struct {
		name       string
		parameters []parameter
		body       []statement
	}
	// callBlock is {% call(parameters) macro(…) %}body{% endcall %}.
	callBlock struct {
		parameters []parameter
		call       *callExpression
		body       []statement
		line       int
	}
	// scoped is a body whose variables end with it.
	scoped            struct{ body []statement }
	breakStatement    struct{}
	continueStatement struct{}
)

type branch struct {
	condition expression // nil for else
	body      []statement
}

type parameter struct {
	name  string
	value expression // the default, nil for none
}

// An expression is a node that has a value.
type expression interface{}

type (
	literal        struct{ value any }
	nameExpression struct{ name string }
	// listExpression is a list or, with tuple set, a tuple.
	listExpression struct {
		items []expression
		tuple bool
	}
	dictExpression struct{ keys, values []expression }
	attribute      struct {
		of   expression
		name string
	}
	item struct{ of, key expression }
	// slice has nil for what is left out.
	slice          struct{ of, start, stop, step expression }
	callExpression struct {
		callee expression
		arguments
	}
	filterExpression struct {
		of expression
		filterCall
	}
	testExpression struct {
		of   expression
		name string
		arguments
	}
	unary struct {
		operator string
		operand  expression
	}
	binary struct {
		operator    string
		left, right expression
	}
	comparison struct {
		first     expression
		operators []string
		others    []expression
	}
	conditional struct{ condition, yes, no expression } // no is nil for none
)

type arguments struct {
	positional []expression
	named      []namedArgument
}

type namedArgument struct {
	name  string
	value expression
}

type filterCall struct {
	name string
	arguments
}

// maxNesting is how deep expressions and blocks may be nested. Python's own
// parser gives up near a hundred.
const maxNesting = 100

type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int // for statements around
}

func parse(source string) ([]statement, error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	var body []statement
	err = p.guard(func() { body = p.statements() })
	return body, err
}

// guard turns the parser's panics of *SyntaxError into errors. They never leave
// the package; with them the grammar below reads like the grammar.
func (p *parser) guard(parse func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			syntax, ok := r.(*SyntaxError)
			if !ok {
				panic(r)
			}
			err = syntax
		}
	}()
	parse()
	return nil
}

func (p *parser) fail(format string, args ...any) {
	panic(&SyntaxError{p.peek().line, fmt.Sprintf(format, args...)})
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxNesting {
		p.fail("expressions or blocks are nested more than %d deep", maxNesting)
	}
}

func (p *parser) leave() { p.depth-- }

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != endOfTemplate {
		p.at++
	}
	return t
}

func (p *parser) is(k kind, text string) bool {
	t := p.peek()
	return t.kind == k && t.text == text
}

func (p *parser) skip(k kind, text string) bool {
	if p.is(k, text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(k kind, text string) {
	if !p.skip(k, text) {
		p.fail("found %s where %q was expected", p.peek().describe(), text)
	}
}

func (p *parser) name() string {
	if p.peek().kind != nameToken {
		p.fail("found %s where a name was expected", p.peek().describe())
	}
	return p.next().text
}

func (t token) describe() string {
	switch t.kind {
	case endOfTemplate:
		return "the end of the template"
	case dataToken:
		return "text"
	}
	return strconv.Quote(t.text)
}

// endBlock reads %}.
func (p *parser) endBlock() {
	if p.peek().kind != blockEnd {
		p.fail("found %s where the tag should end", p.peek().describe())
	}
	p.at++
}

// statements reads up to a tag that begins with one of the words of ends, whose
// {% and word it takes too, or to the end of the template where ends is empty.
func (p *parser) statements(ends ...string) []statement {
	p.enter()
	defer p.leave()
	var body []statement
	for {
		t := p.next()
		switch t.kind {
		case endOfTemplate:
			if len(ends) > 0 {
				p.fail("the template ends where %q is missing", ends[len(ends)-1])
			}
			return body
		case dataToken:
			body = append(body, dataStatement{t.text})
		case variableBegin:
			value := p.tuple(true)
			if p.peek().kind != variableEnd {
				p.fail("found %s where }} was expected", p.peek().describe())
			}
			p.at++
			body = append(body, &outputStatement{value, t.line})
		case blockBegin:
			if p.peek().kind == nameToken && slices.Contains(ends, p.peek().text) {
				return body
			}
			body = append(body, p.tag(t.line)...)
		default:
			p.at--
			p.fail("unexpected %s", t.describe())
		}
	}
}

// tag reads a statement after {%.
func (p *parser) tag(line int) []statement {
	switch word := p.name(); word {
	case "if":
		return []statement{p.ifTag(line)}
	case "for":
		return []statement{p.forTag(line)}
	case "set":
		return []statement{p.setTag(line)}
	case "macro":
		m := &macroStatement{name: p.name()}
		p.expect(operatorToken, "(")
		m.parameters = p.parameters()
		p.endBlock()
		m.body = p.closed("endmacro")
		return []statement{m}
	case "call":
		c := &callBlock{line: line}
		if p.skip(operatorToken, "(") {
			c.parameters = p.parameters()
		}
		call, ok := p.unary(true).(*callExpression)
		if !ok {
			p.fail("a call block needs a call")
		}
		c.call = call
		p.endBlock()
		c.body = p.closed("endcall")
		return []statement{c}
	case "filter":
		f := &filterBlock{line: line}
		f.filters = append(f.filters, p.filter())
		for p.skip(operatorToken, "|") {
			f.filters = append(f.filters, p.filter())
		}
		p.endBlock()
		f.body = p.closed("endfilter")
		return []statement{f}
	case "generation": // transformers' mark around the assistant's words
		p.endBlock()
		return []statement{&scoped{p.closed("endgeneration")}}
	case "break", "continue":
		if p.loops == 0 {
			p.fail("%s stands outside of a for", word)
		}
		p.endBlock()
		if word == "break" {
			return []statement{breakStatement{}}
		}
		return []statement{continueStatement{}}
	case "include", "import", "from", "extends":
		p.fail("%q would read another file, and a chat template has none", word)
	default:
		p.fail("unknown or misplaced tag %q", word)
	}
	return nil
}

// closed reads a body and the tag that closes it. A loop around does not reach
// into it: it is a function of its own, or a text.
func (p *parser) closed(end string) []statement {
	loops := p.loops
	p.loops = 0
	body := p.statements(end)
	p.loops = loops
	p.at++
	p.endBlock()
	return body
}

func (p *parser) ifTag(line int) statement {
	s := &ifStatement{line: line}
	condition := p.tuple(false)
	for {
		p.endBlock()
		s.branches = append(s.branches, branch{condition, p.statements("elif", "else", "endif")})
		switch p.next().text {
		case "elif":
			condition = p.tuple(false)
			continue
		case "else":
			p.endBlock()
			s.branches = append(s.branches, branch{nil, p.statements("endif")})
			p.at++
		}
		p.endBlock()
		return s
	}
}

func (p *parser) forTag(line int) statement {
	s := &forStatement{line: line, targets: p.targets()}
	p.expect(nameToken, "in")
	s.over = p.tuple(false)
	if p.skip(nameToken, "if") {
		s.filter = p.expression()
	}
	if p.is(nameToken, "recursive") {
		p.fail("recursive loops are not supported")
	}
	p.endBlock()
	p.loops++
	s.body = p.statements("else", "endfor")
	p.loops--
	if p.next().text == "else" {
		p.endBlock()
		s.empty = p.statements("endfor")
		p.at++
	}
	p.endBlock()
	return s
}

// targets reads the names that a for or set gives values to.
func (p *parser) targets() []string {
	paren := p.skip(operatorToken, "(")
	names := []string{p.target()}
	for p.skip(operatorToken, ",") {
		names = append(names, p.target())
	}
	if paren {
		p.expect(operatorToken, ")")
	}
	return names
}

func (p *parser) target() string {
	name := p.name()
	if _, constant := constants[name]; constant || name == "loop" {
		p.fail("cannot assign to %q", name)
	}
	return name
}

func (p *parser) setTag(line int) statement {
	if p.peek().kind == nameToken && p.tokens[p.at+1].kind == operatorToken && p.tokens[p.at+1].text == "." {
		s := &setStatement{targets: []string{p.target()}, line: line}
		p.at++
		s.attribute = p.name()
		p.expect(operatorToken, "=")
		s.value = p.tuple(true)
		p.endBlock()
		return s
	}
	targets := p.targets()
	if p.skip(operatorToken, "=") {
		s := &setStatement{targets: targets, value: p.tuple(true), line: line}
		p.endBlock()
		return s
	}
	s := &setBlock{target: targets[0], line: line}
	if len(targets) > 1 {
		p.fail("a set block has one name")
	}
	for p.skip(operatorToken, "|") {
		s.filters = append(s.filters, p.filter())
	}
	p.endBlock()
	s.body = p.closed("endset")
	return s
}

// parameters reads a macro's parameters after "(".
func (p *parser) parameters() []parameter {
	var list []parameter
	for !p.skip(operatorToken, ")") {
		if len(list) > 0 {
			p.expect(operatorToken, ",")
		}
		one := parameter{name: p.target()}
		if p.skip(operatorToken, "=") {
			one.value = p.expression()
		}
		list = append(list, one)
	}
	return list
}

// tuple reads expressions with commas between: with one and no comma that
// expression, else a tuple. withIf says whether they may be a if b else c.
func (p *parser) tuple(withIf bool) expression {
	read := p.or
	if withIf {
		read = p.expression
	}
	first := read()
	if !p.is(operatorToken, ",") {
		return first
	}
	items := []expression{first}
	for p.skip(operatorToken, ",") {
		if t := p.peek(); t.kind == variableEnd || t.kind == blockEnd || p.is(operatorToken, ")") {
			break
		}
		items = append(items, read())
	}
	return &listExpression{items, true}
}

func (p *parser) expression() expression {
	p.enter()
	defer p.leave()
	value := p.or()
	for p.skip(nameToken, "if") {
		c := &conditional{yes: value, condition: p.or()}
		if p.skip(nameToken, "else") {
			c.no = p.expression()
		}
		value = c
	}
	return value
}

func (p *parser) or() expression {
	left := p.and()
	for p.skip(nameToken, "or") {
		left = &binary{"or", left, p.and()}
	}
	return left
}

func (p *parser) and() expression {
	left := p.not()
	for p.skip(nameToken, "and") {
		left = &binary{"and", left, p.not()}
	}
	return left
}

func (p *parser) not() expression {
	if p.skip(nameToken, "not") {
		p.enter()
		defer p.leave()
		return &unary{"not", p.not()}
	}
	return p.comparison()
}

func (p *parser) comparison() expression {
	c := &comparison{first: p.sum()}
	for {
		operator := ""
		t := p.peek()
		switch {
		case t.kind == operatorToken && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			operator = t.text
			p.at++
		case p.skip(nameToken, "in"):
			operator = "in"
		case p.is(nameToken, "not") && p.tokens[p.at+1].kind == nameToken && p.tokens[p.at+1].text == "in":
			operator = "not in"
			p.at += 2
		}
		if operator == "" {
			if len(c.operators) == 0 {
				return c.first
			}
			return c
		}
		c.operators = append(c.operators, operator)
		c.others = append(c.others, p.sum())
	}
}

// chain reads left-associative binary operators.
func (p *parser) chain(operand func() expression, operators ...string) expression {
	left := operand()
	for {
		t := p.peek()
		if t.kind != operatorToken || !slices.Contains(operators, t.text) {
			return left
		}
		p.at++
		left = &binary{t.text, left, operand()}
	}
}

func (p *parser) sum() expression     { return p.chain(p.concat, "+", "-") }
func (p *parser) concat() expression  { return p.chain(p.product, "~") }
func (p *parser) product() expression { return p.chain(p.power, "*", "/", "//", "%") }
func (p *parser) power() expression {
	return p.chain(func() expression { return p.unary(true) }, "**")
}

func (p *parser) unary(withFilter bool) expression {
	p.enter()
	defer p.leave()
	var value expression
	switch {
	case p.skip(operatorToken, "-"):
		value = &unary{"-", p.unary(false)}
	case p.skip(operatorToken, "+"):
		value = &unary{"+", p.unary(false)}
	default:
		value = p.primary()
	}
	value = p.postfix(value)
	for withFilter {
		switch {
		case p.skip(operatorToken, "|"):
			value = &filterExpression{value, p.filter()}
		case p.skip(nameToken, "is"):
			value = p.test(value)
		case p.skip(operatorToken, "("):
			value = &callExpression{value, p.arguments()}
		default:
			return value
		}
	}
	return value
}

var constants = map[string]any{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

func (p *parser) primary() expression {
	t := p.next()
	switch {
	case t.kind == nameToken:
		if value, ok := constants[t.text]; ok {
			return literal{value}
		}
		return &nameExpression{t.text}
	case t.kind == stringToken:
		text := t.text
		for p.peek().kind == stringToken {
			text += p.next().text
		}
		return literal{text}
	case t.kind == intToken:
		n, err := strconv.ParseInt(t.text, 0, 64)
		if err != nil {
			p.at--
			p.fail("the number %s does not fit into 64 bits", t.text)
		}
		return literal{n}
	case t.kind == floatToken:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			p.at--
			p.fail("the number %s is out of range", t.text)
		}
		return literal{f}
	case t.kind == operatorToken && t.text == "(":
		if p.skip(operatorToken, ")") {
			return &listExpression{tuple: true}
		}
		value := p.tuple(true)
		p.expect(operatorToken, ")")
		return value
	case t.kind == operatorToken && t.text == "[":
		list := &listExpression{}
		for !p.skip(operatorToken, "]") {
			if len(list.items) > 0 {
				p.expect(operatorToken, ",")
				if p.skip(operatorToken, "]") {
					break
				}
			}
			list.items = append(list.items, p.expression())
		}
		return list
	case t.kind == operatorToken && t.text == "{":
		dict := &dictExpression{}
		for !p.skip(operatorToken, "}") {
			if len(dict.keys) > 0 {
				p.expect(operatorToken, ",")
				if p.skip(operatorToken, "}") {
					break
				}
			}
			dict.keys = append(dict.keys, p.expression())
			p.expect(operatorToken, ":")
			dict.values = append(dict.values, p.expression())
		}
		return dict
	}
	p.at--
	if t.kind == endOfTemplate {
		p.at++
	}
	p.fail("unexpected %s", t.describe())
	return nil
}

func (p *parser) postfix(value expression) expression {
	for {
		switch {
		case p.skip(operatorToken, "."):
			switch t := p.next(); t.kind {
			case nameToken:
				value = &attribute{value, t.text}
			case intToken:
				n, err := strconv.ParseInt(t.text, 10, 64)
				if err != nil {
					p.fail("the index %s does not fit into 64 bits", t.text)
				}
				value = &item{value, literal{n}}
			default:
				p.fail("found %s where a name was expected", t.describe())
			}
		case p.skip(operatorToken, "["):
			value = p.subscript(value)
		case p.skip(operatorToken, "("):
			value = &callExpression{value, p.arguments()}
		default:
			return value
		}
	}
}

// subscript reads what follows "[".
func (p *parser) subscript(of expression) expression {
	part := func() expression {
		if p.is(operatorToken, ":") || p.is(operatorToken, "]") {
			return nil
		}
		return p.expression()
	}
	start := part()
	if start != nil && p.skip(operatorToken, "]") {
		return &item{of, start}
	}
	s := &slice{of: of, start: start}
	p.expect(operatorToken, ":")
	s.stop = part()
	if p.skip(operatorToken, ":") {
		s.step = part()
	}
	p.expect(operatorToken, "]")
	return s
}

// arguments reads what follows "(" of a call.
func (p *parser) arguments() arguments {
	var a arguments
	for n := 0; !p.skip(operatorToken, ")"); n++ {
		if n > 0 {
			p.expect(operatorToken, ",")
			if p.skip(operatorToken, ")") {
				break
			}
		}
		if p.is(operatorToken, "*") || p.is(operatorToken, "**") {
			p.fail("arguments with * are not supported")
		}
		if p.peek().kind == nameToken && p.tokens[p.at+1].kind == operatorToken && p.tokens[p.at+1].text == "=" {
			name := p.name()
			p.at++
			a.named = append(a.named, namedArgument{name, p.expression()})
			continue
		}
		if len(a.named) > 0 {
			p.fail("an argument without a name follows one with a name")
		}
		a.positional = append(a.positional, p.expression())
	}
	return a
}

func (p *parser) filter() filterCall {
	f := filterCall{name: p.name()}
	if p.skip(operatorToken, "(") {
		f.arguments = p.arguments()
	}
	return f
}

// test reads what follows "is".
func (p *parser) test(of expression) expression {
	negated := p.skip(nameToken, "not")
	t := &testExpression{of: of, name: p.name()}
	next := p.peek()
	switch {
	case p.skip(operatorToken, "("):
		t.arguments = p.arguments()
	case next.kind == stringToken || next.kind == intToken || next.kind == floatToken,
		next.kind == nameToken && !slices.Contains([]string{"else", "or", "and", "is"}, next.text),
		next.kind == operatorToken && (next.text == "[" || next.text == "{"):
		t.positional = []expression{p.postfix(p.primary())}
	}
	if negated {
		return &unary{"not", t}
	}
	return t
}
