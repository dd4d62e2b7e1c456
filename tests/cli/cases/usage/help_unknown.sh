#!/bin/sh
mcompress help quantise
