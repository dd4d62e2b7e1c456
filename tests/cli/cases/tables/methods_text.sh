#!/bin/sh
mcompress methods | grep '^[a-z]*:' | sed 's/:.*//'
