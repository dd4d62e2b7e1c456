#!/bin/sh
mcompress targets --json
