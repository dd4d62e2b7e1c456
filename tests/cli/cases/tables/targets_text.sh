#!/bin/sh
mcompress targets
