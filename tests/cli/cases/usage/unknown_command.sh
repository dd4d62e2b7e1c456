#!/bin/sh
mcompress quantise a b
