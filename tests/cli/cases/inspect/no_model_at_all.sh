#!/bin/sh
echo "just some text, and not a model" >notes.txt
mcompress inspect notes.txt
