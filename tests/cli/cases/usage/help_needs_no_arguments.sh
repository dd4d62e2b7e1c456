#!/bin/sh
mcompress quantize --help >a && mcompress --help quantize >b && cmp a b && grep -c '^  --group' a
