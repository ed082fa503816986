#!/bin/sh
# Says which files are empty: verify.sh FILE...
found=0
for file in "$@"; do
    if [ ! -s "$file" ]; then
        echo "empty: $file"
        found=1
    fi
done
exit "$found"
