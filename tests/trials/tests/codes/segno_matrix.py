"""Codes of another generator: reads a JSON list of contents in hexadecimal, writes a JSON list of codes, each a list of
rows in which 1 is dark."""

import json
import sys

import segno

codes = []
for content in json.load(sys.stdin):
    code = segno.make(bytes.fromhex(content), micro=False, error="m", boost_error=False)
    codes.append(["".join("1" if dark else "0" for dark in row) for row in code.matrix])
json.dump(codes, sys.stdout)
