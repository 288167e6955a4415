"""Writes the files of this folder with the tools that people use.

    pip install pandas==3.1.1 pyarrow==26.0.1
    python make.py

records.json are the records that Python's csv makes of texts; the other files hold
the rows of rows.json as pandas and pyarrow write them.
"""
import csv, io, json, gzip, bz2
import pandas as pd
import pyarrow as pa, pyarrow.parquet as pq

TEXTS = {
    "plain": 'text,label\na,b\n',
    "quoted comma": 'text,label\n"well, see you",ham\n',
    "quoted line end": 'text,label\n"two\nlines",ham\nc,d\n',
    "doubled quote": 'text,label\n"say ""hi""",ham\n',
    "bare quote": 'text,label\na 5" screen,spam\n',
    "bare quotes": 'text,label\nthe "best" one,spam\nit\'s 6" x 4",ham\n',
    "text behind a quote": 'text,label\n"abc"def,ham\n',
    "quote within quotes once": 'text,label\n"5" screen",ham\n',
    "space before a quote": 'text,label\n "abc" ,ham\n',
    "crlf": 'text,label\r\n"a\r\nb",c\r\nd,e\r\n',
    "no end of line": 'text,label\na,b',
    "empty fields": 'a,b,c\n,x,\n"",y,""\n',
    "semicolon": 'text;label\nfree prize, call now;spam\nsee you; noon\n',
    "tab": 'text\tlabel\nfree prize, call; now\tspam\n"a\tb"\tham\n',
    "bar": 'text|label\nfree prize, call; now|spam\n',
    "chinese": '文本,标签\n你好，世界,好\n',
}
SEPARATORS = {"semicolon": ";", "tab": "\t", "bar": "|"}

records = []
for name, text in TEXTS.items():
    separator = SEPARATORS.get(name, ",")
    records.append({"name": name, "text": text, "separator": separator,
                    "records": list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))})
json.dump(records, open("records.json", "w"), ensure_ascii=False, indent=1)

ROWS = [
    {"id": 0, "text": "see you, at noon", "label": "ham", "score": 1.0, "messages": [{"role": "user", "content": "hé \U0001f999"}, {"role": "assistant", "content": "there"}], "tags": ["a", "b"]},
    {"id": 1, "text": 'two\n"lines"', "label": "spam", "score": None, "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "tags": []},
    {"id": 2, "text": "你好; tab\there", "label": "ham", "score": 0.5, "messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}], "tags": None},
]
json.dump(ROWS, open("rows.json", "w"), ensure_ascii=False, indent=2)
frame = pd.DataFrame(ROWS)
frame.to_json("records.jsonl.gz", orient="records", lines=True)
frame.to_json("array.json", orient="records", force_ascii=False)
small = frame[["id", "text", "label", "score"]]
small.to_csv("comma.csv", index=False)
small.to_csv("excel.csv", index=False, sep=";", encoding="utf-8-sig", quoting=csv.QUOTE_ALL)
small.to_csv("utf16.csv", index=False, encoding="utf-16")
small.to_csv("utf16le.csv", index=False, encoding="utf-16-le")
small.to_csv("tabs.csv", index=False, sep="\t")
with bz2.open("rows.jsonl.bz2", "wt", encoding="utf-8") as f:
    for row in ROWS:
        f.write(json.dumps(row) + "\n")
with open("nan.jsonl", "w") as f:
    for row in ROWS:
        f.write(json.dumps({**row, "score": float("nan"), "note": "a NaN, \"NaN\" in text"}) + "\n")
table = pa.Table.from_pylist(ROWS)
for codec in ["none", "snappy", "zstd", "gzip", "brotli", "lz4"]:
    pq.write_table(table, f"{codec}.parquet", compression=codec)
pq.write_table(table, "v1.parquet", version="1.0", data_page_version="2.0", use_dictionary=False, row_group_size=2, use_compliant_nested_type=False)
others = pa.table({
    "text": pa.array(["good", "bad"]).dictionary_encode(), "large": pa.array([["a"], None], pa.large_list(pa.large_string())),
    "bytes": pa.array([b"x", None]), "nan": pa.array([1.5, float("nan")]), "map": pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())),
})
pq.write_table(others, "types.parquet")
calls = pa.Table.from_pylist([
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"city": "x", "zone": "z", "day": "y"}}}]}]},
    {"messages": [{"role": "user", "content": "b"}, {"role": "assistant", "content": "c", "tool_calls": [{"function": {"name": "g", "arguments": {"n": 3}}}]}]},
])
pq.write_table(calls, "calls.parquet")
pq.write_table(pa.table({"prompt": ["a", "b"], "completion": ["c", "d"], "image": [b"\xff\xd8", b"\xff\xd9"]}), "image.parquet")
pq.write_table(pa.table({"text": pa.array([], pa.string())}), "empty.parquet")
