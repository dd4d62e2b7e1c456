#!/bin/sh
mcompress help diff
