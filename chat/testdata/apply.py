"""What transformers makes of conversations, with the templates of folders.

Reads {"folders": {name: folder}, "conversations": […]} from standard input and
writes {name: [{"text", "ids"} or {"error"} for each conversation]}.
"""

import json
import sys

from transformers import AutoTokenizer


def apply(tokenizer, c):
    prompt = c.get("add_generation_prompt", False)
    options = dict(tools=c.get("tools"), add_generation_prompt=prompt, **c.get("variables", {}))
    try:
        text = tokenizer.apply_chat_template(c["messages"], tokenize=False, **options)
        ids = tokenizer.apply_chat_template(c["messages"], tokenize=True, return_dict=False, **options)
        return {"text": text, "ids": ids}
    except Exception as error:  # whatever a template does wrong
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    request = json.load(sys.stdin)
    answer = {}
    for name, folder in request["folders"].items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        answer[name] = [apply(tokenizer, c) for c in request["conversations"]]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
