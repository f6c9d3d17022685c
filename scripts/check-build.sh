#!/usr/bin/env bash
# Compiles the program twice, from here and from a copy of the sources in another folder, each into a folder of its own, and
# fails where one byte is another or a path of this machine is left in it. Takes twice the minutes of a `dist` build.
#
#   scripts/check-build.sh                     hemostat
#   scripts/check-build.sh hemostat-replay     that one
set -euo pipefail

case "${1:-}" in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
program=${1:-hemostat}

ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"
need_packages musl-gcc=musl-tools gcc=gcc
need_rust

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

say "building here (minutes)"
build_dist "$program"
install "$bin/$program" "$folder/here"

say "building elsewhere (minutes)"
mkdir "$folder/src"
git ls-files -z --cached --others --exclude-standard | tar --null --create --files-from - | tar -x -C "$folder/src"
(
    cd "$folder/src"
    CARGO_TARGET_DIR="$folder/target" build_dist "$program"
    install "$bin/$program" "$folder/elsewhere"
)

cmp "$folder/here" "$folder/elsewhere" || die "two compilations of $program differ"
for path in "$PWD" "$folder" "${CARGO_HOME:-$HOME/.cargo}" "${CARGO_TARGET_DIR:-$PWD/target}"; do
    ! grep -qaF "$path" "$folder/here" || die "$program has the path $path in it"
done
echo "$program, compiled twice: $(sha256sum <"$folder/here" | cut -d ' ' -f 1), $(stat -c %s "$folder/here") bytes"
