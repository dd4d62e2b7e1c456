#!/bin/sh
mcompress methods --json | grep '"name"'
