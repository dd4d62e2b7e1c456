#!/bin/sh
mcompress version --json | sed 's/:.*$//'
