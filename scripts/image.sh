#!/usr/bin/env bash
# Makes the image of HemoStat from a build on this machine, without any registry, and loads it. A stage of
# Dockerfile says how it is to be. A function of the program: made twice, it has the same digest.
#
#   scripts/image.sh                          builds (minutes), makes and loads hemostat:latest
#   scripts/image.sh --tag hemostat:1         under another name
#   scripts/image.sh --program hemostat-replay    the image of that one
#   scripts/image.sh --bin FOLDER             from a program that is there: FOLDER/hemostat
#   scripts/image.sh --to FILE                writes the archive for `docker load` and loads nothing
#   scripts/image.sh --check                  makes it twice, compares, and holds it to its size; loads nothing
#
# Prints the image's id, which is the digest of its configuration. Needs python3.
set -euo pipefail

usage() { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit "$1"; }

program=hemostat tag='' bin='' to='' check=no
while [ $# -gt 0 ]; do
    case "$1" in
        --tag | --bin | --to | --program) [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; } ;;&
        --tag) tag=$2; shift ;;
        --program) program=$2; shift ;;
        --bin) bin=$(realpath "$2"); shift ;;
        --to) to=$(realpath -m "$2"); shift ;;
        --check) check=yes ;;
        -h | --help) usage 0 ;;
        *) echo "error: unknown argument \`$1\`" >&2; usage 2 >&2 ;;
    esac
    shift
done
tag=${tag:-$program}
case "${tag##*/}" in *:*) ;; *) tag=$tag:latest ;; esac

ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"

# What may be in the image at most, in bytes.
SIZE_MAX=$((25 << 20))

if [ -z "$bin" ]; then
    need_packages musl-gcc=musl-tools gcc=gcc
    need_rust
    say "building (minutes)"
    build_dist "$program"
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# make FILE: the image as an archive; prints its id.
make() { python3 scripts/image.py Dockerfile "$program" "$bin" "$tag" "$1"; }

id=$(make "$folder/image.tar")
if [ "$check" = yes ]; then
    again=$(make "$folder/again.tar")
    cmp "$folder/image.tar" "$folder/again.tar" || die "two images of the same program differ: $id and $again"
    size=$(stat -c %s "$folder/image.tar")
    [ "$size" -lt "$SIZE_MAX" ] || die "the image has $size bytes; $SIZE_MAX are the most"
    echo "$id twice, $size bytes"
elif [ -n "$to" ]; then
    mv "$folder/image.tar" "$to"
    echo "$id"
else
    docker load --quiet --input "$folder/image.tar" >&2
    loaded=$(docker image inspect --format '{{.Id}}' "$tag")
    [ "$loaded" = "$id" ] || die "the engine calls the image $loaded, not $id"
    echo "$id"
fi
