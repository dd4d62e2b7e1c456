#!/bin/sh
# the same page
mcompress --help >a
mcompress help >b
mcompress -h >c
cmp a b && cmp b c
