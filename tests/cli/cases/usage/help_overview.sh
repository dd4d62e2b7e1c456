#!/bin/sh
mcompress --help
