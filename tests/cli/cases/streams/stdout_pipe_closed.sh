#!/bin/sh
{ sleep 0.3; mcompress help; echo "exit $?" >&2; } | :
