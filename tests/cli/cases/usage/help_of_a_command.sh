#!/bin/sh
mcompress diff --help
