#!/bin/sh
mcompress inspect --quiet nothing.safetensors
