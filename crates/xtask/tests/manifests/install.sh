#!/bin/sh
# Brings kubernetes-validate, which carries Kubernetes's own schemas, in the version that is
# pinned here, to target/tools/kubernetes-validate. Does nothing when it is there.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../../../.." && pwd)
recipe=$here/requirements.txt
folder=$root/target/tools/kubernetes-validate

if cmp -s "$recipe" "$folder/.recipe"; then
    exit 0
fi
echo "installing $folder"
rm -rf "$folder"
python3 -m pip install --quiet --no-input --disable-pip-version-check \
    --root-user-action=ignore --target "$folder" --requirement "$recipe" </dev/null
cp "$recipe" "$folder/.recipe"
