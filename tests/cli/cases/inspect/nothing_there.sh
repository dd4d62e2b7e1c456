#!/bin/sh
mcompress inspect nothing.safetensors
