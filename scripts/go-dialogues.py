"""Writes dialogues about the functions of a Go tree: what each does, in the words
of its documentation.

    python go-dialogues.py GOROOT/src N > dialogues.jsonl
"""

import json
import os
import re
import sys

root, wanted = sys.argv[1], int(sys.argv[2])
FUNCTION = re.compile(r"((?:^// [^\n]*\n)+)^func (([A-Z]\w*)\([^\n]*) \{$", re.M)
found = []
for package in ("strings", "bytes", "strconv", "sort", "unicode/utf8", "path/filepath", "os", "io", "bufio", "math", "math/big", "net/url", "time", "regexp", "encoding/binary", "encoding/json", "go/ast", "go/token"):
    folder = os.path.join(root, package)
    if not os.path.isdir(folder):
        continue
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".go") or name.endswith("_test.go"):
            continue
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            source = f.read()
        for comment, signature, function in FUNCTION.findall(source):
            text = " ".join(line[3:].strip() for line in comment.splitlines())
            if 40 < len(text) < 500 and text.startswith(function):
                found.append((package, signature, text))
# Spread over the packages, in an order that is always the same.
found.sort(key=lambda f: (sum(map(ord, f[1])) * 7919 % 10007, f))
for package, signature, text in found[:wanted]:
    print(json.dumps({"messages": [
        {"role": "user", "content": "What does this function of Go's package %s do?\n\nfunc %s" % (package, signature)},
        {"role": "assistant", "content": text},
    ]}))
