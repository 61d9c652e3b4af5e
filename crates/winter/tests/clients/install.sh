#!/bin/sh
# Installs the client libraries that the tests of the wire talk to the server with, in the
# versions that are pinned here, below target/clients. Does nothing where that was done before.
#
#   WINTER_PY_CLIENTS  where the Python libraries go, and where the tests look for them
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../../../.." && pwd)
python=${WINTER_PY_CLIENTS:-$root/target/clients/python}
node=$root/target/clients/node

# done_before RECIPE FOLDER: whether FOLDER holds what RECIPE asks for.
done_before() {
    cmp -s "$1" "$2/.recipe"
}

# Each file of requirements is a set of its own, since a folder holds one version of a library.
for recipe in "$here"/python/*.txt; do
    folder=$python/$(basename "$recipe" .txt)
    done_before "$recipe" "$folder" && continue
    echo "installing $folder"
    rm -rf "$folder"
    python3 -m pip install --quiet --no-input --disable-pip-version-check \
        --root-user-action=ignore --target "$folder" --requirement "$recipe" </dev/null
    cp "$recipe" "$folder/.recipe"
done

recipe=$here/node/package-lock.json
if ! done_before "$recipe" "$node"; then
    echo "installing $node"
    rm -rf "$node"
    mkdir -p "$node"
    cp "$here/node/package.json" "$recipe" "$here/node/.npmrc" "$node/"
    (cd "$node" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null)
    cp "$recipe" "$node/.recipe"
fi
