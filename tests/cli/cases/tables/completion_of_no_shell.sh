#!/bin/sh
mcompress completion tcsh
