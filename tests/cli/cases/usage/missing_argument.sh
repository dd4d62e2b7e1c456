#!/bin/sh
mcompress diff a
