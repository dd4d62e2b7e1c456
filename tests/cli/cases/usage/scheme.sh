#!/bin/sh
mcompress quantize --w9a8 a b
