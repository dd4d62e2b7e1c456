#!/bin/sh
mcompress inspect a --group 32
