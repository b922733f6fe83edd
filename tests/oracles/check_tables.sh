#!/bin/sh
# Tables of ours read by Picasso and Locan, and theirs by us.
#
#   tests/oracles/check_tables.sh [PYTHON]
#
# PYTHON is one that has napari-dilatedloc. Picasso and Locan are installed into an environment of
# their own, in $ORACLES (default: a folder of the user's cache), which is kept for the next time.
# Needs the network the first time; not part of the tests.
set -eu
ours=${1:-python}
here=$(cd "$(dirname "$0")" && pwd)
theirs=${ORACLES:-${XDG_CACHE_HOME:-$HOME/.cache}/dilatedloc-oracles}
tables=$(mktemp -d)
trap 'rm -rf "$tables"' EXIT
if [ ! -x "$theirs/bin/python" ]; then
    python3 -m venv "$theirs"
    "$theirs/bin/pip" install --quiet picassosr locan
fi
"$ours" "$here/tables_of_ours.py" write "$tables"
"$theirs/bin/python" "$here/tables_of_others.py" "$tables"
"$ours" "$here/tables_of_ours.py" read "$tables"
