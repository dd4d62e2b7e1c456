#!/bin/sh
# What cannot work, or would do nothing, is said before any work.
ln -s "$MC_SOURCE_DIR/examples/tinylm" tinylm
refused() {
    echo "mcompress quantize $*" >&2
    mcompress quantize "$@" --quiet tinylm out.bin
    echo "exit $?" >&2
}
printf '{"context": "a", "choices": [" b", " c"], "answer": 0}\n' >questions.jsonl
cp tinylm/eval.txt text.txt

refused --w4a16 --method gptq
refused --w4a16 --preset balanced
refused --w4a16 --method smoothquant+rtn
refused --w4a8 --act static
refused --w4a16 --max-tokens 1000
refused --w4a16 --no-sequential
refused --w4a16 --calib text.txt --act dynamic
refused --w4a8 --calib text.txt --observer minmax
refused --w4a16 --calib text.txt --kv-group 32
refused --w4a16 --calib text.txt --method gptq --max-tokens 100
refused --w4a16 --calib text.txt --method gptq --window 1
refused --w4a16 --calib questions.jsonl --method gptq
refused --w4a16 --calib nothing.txt --method gptq
refused --w4a16 --calib text.txt --method rtn+gptq
refused --w4a16 --calib text.txt --method gptq+awq
refused --w4a16 --calib text.txt --method rotate+smoothquant+gptq
refused --w4a16 --calib text.txt --method gptq:damp=2
refused --w4a16 --calib text.txt --method gptq:dampp=0.1
refused --w4a16 --calib text.txt --method gtpq
refused --w4a16 --calib text.txt --preset blanced
refused --w4a16 --calib text.txt --method absorb+gptq
rm tinylm; ls
