#!/bin/sh
mcompress --version | sed 's/ .*//'
mcompress version | grep -c '^mcompress [0-9]*\.[0-9]*\.[0-9]*$'
