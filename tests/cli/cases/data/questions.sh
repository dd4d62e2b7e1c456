#!/bin/sh
tinylm=$MC_SOURCE_DIR/examples/tinylm
mcompress quantize --w4a16 --quiet "$tinylm" out.bin || exit
cat >q.jsonl <<'Q'
{"context": "The capital of France is ", "choices": ["the", "xylophone quartz"], "answer": 0}
{"context": "He went to the", "choices": [" school", " zzgq"], "answer": 0}

{"context": "One of the", "choices": [" most", " mostt,,"], "answer": 1}
Q
mcompress verify out.bin --reference "$tinylm" --data q.jsonl --quiet --report r.json || exit
grep -E '"(task|accuracy)"' r.json
echo '{"context": "a", "choices": ["b"], "answer": 0}' >bad.jsonl
mcompress verify out.bin --reference "$tinylm" --data bad.jsonl --quiet
