#!/bin/sh
mcompress quantize "$(printf -- '--\033[2Jx')" a b
