#!/bin/sh
mcompress frobnicate 2>&-
