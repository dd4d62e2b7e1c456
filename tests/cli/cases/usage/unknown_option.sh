#!/bin/sh
mcompress quantize --quiett a b
