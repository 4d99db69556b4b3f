#!/bin/sh
# Which of these labels fits the picture best?   classify.sh picture.png
# The picture is the body, the labels are the query; curl escapes neither, so spaces are written as +.
set -eu
url=${MODERATOR_URL:-http://127.0.0.1:8080}

curl --silent --show-error --fail-with-body "$url/classify?label=a+red+circle&label=a+blue+square&label=a+green+star" \
  -H 'Content-Type: application/octet-stream' --data-binary "@$1"
echo
