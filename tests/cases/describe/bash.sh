#!/bin/bash
# Says hello (twice). More.
# $1 - name
hello() {
  echo "$1"
}

#######################################
# Cleans up
# Globals:
#   HOME
#######################################
function clean-up {
  echo ${#1} "# ("
}

function three() { hello; }
