#!/bin/sh
# What `methods` lists is what options take.
ln -s "$MC_SOURCE_DIR/examples/tinylm" tinylm
mcompress methods --json >methods.json
python3 - <<'PY' >names
import json
lists = json.load(open("methods.json"))
scheme = "--w4a8 --asym --group 32 --act static"
for one in lists["methods"]:
    print(one["name"], scheme, "--observer" if one["kind"] == "observer" else "--method", one["name"])
for one in lists["presets"]:
    print(one["name"], "--w4a8" if one["name"] in ("fast", "balanced", "best", "data-free") else "", "--preset", one["name"])
PY
while read -r name options; do
    # shellcheck disable=SC2086 # words
    mcompress quantize $options --calib tinylm/eval.txt --dry-run tinylm out.bin >/dev/null && echo "$name"
done <names
