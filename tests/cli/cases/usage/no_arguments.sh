#!/bin/sh
mcompress
