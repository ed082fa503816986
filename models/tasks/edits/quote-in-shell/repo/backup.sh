#!/bin/sh
# Copies files into the directory backup: backup.sh FILE...
set -e
mkdir -p backup
for file in $*; do
    cp $file backup/
    echo "copied $file"
done
