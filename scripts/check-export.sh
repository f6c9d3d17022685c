#!/usr/bin/env bash
# Exports a sealed archive in every form and reads the files with programs of others: pyarrow, cloudevents,
# py-ocsf-models, and the schema of OCSF itself.
# Wants PyPI; no part of scripts/test.sh.
set -euo pipefail

cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

HEMOSTAT_EXPORT_KEEP="$folder" cargo test -p hemostat-replay --test it each_form_reconciles_with_the_signed_heads
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pyarrow==26.0.1 cloudevents==2.2.0 py-ocsf-models==0.10.0 \
    ocsf-json-schema==1.2.0 jsonschema==4.26.0
"$folder/venv/bin/python" scripts/check_export.py "$folder"
