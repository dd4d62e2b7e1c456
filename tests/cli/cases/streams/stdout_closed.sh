#!/bin/sh
mcompress help >&-
