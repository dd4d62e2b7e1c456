#!/bin/sh
mcompress inspect a b
