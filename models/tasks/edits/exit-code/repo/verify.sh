#!/bin/sh
# Says which files are empty: verify.sh FILE...
for file in "$@"; do
    if [ ! -s "$file" ]; then
        echo "empty: $file"
    fi
done
exit 0
