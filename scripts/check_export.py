"""Reads exports with programs of others and compares what they find with the manifests.

Takes the folder in which `jsonl`, `csv`, `parquet` and `ocsf` are.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.csv
import pyarrow.parquet
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from py_ocsf_models.events.findings.detection_finding import DetectionFinding

# A payload of an export may be longer than the 128 KiB that the csv module takes.
csv.field_size_limit(1 << 24)


def jsonl(folder, manifest):
    counts = Counter()
    for line in lines(folder, manifest):
        event = JSONFormat().read(CloudEvent, line)
        counts[event.get_extension("partition"), event.get_type()] += 1
    return counts


def sheet(folder, manifest):
    counts = Counter()
    for file in manifest["files"]:
        path = folder / file["name"]
        with open(path, newline="", encoding="utf-8") as text:
            for row in csv.DictReader(text, strict=True):
                for cell in row.values():
                    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
                json.loads(row["data"])
                counts[int(row["partition"]), row["type"]] += 1
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        assert pyarrow.csv.read_csv(path, parse_options=options).num_rows == file["entries"]
    return counts


def parquet(folder, manifest):
    counts = Counter()
    for file in manifest["files"]:
        table = pyarrow.parquet.read_table(folder / file["name"])
        assert table.num_rows == file["entries"]
        schema = table.schema
        assert schema.field("seq").type == pyarrow.int64(), schema
        assert schema.field("time").type == pyarrow.timestamp("us", tz="UTC"), schema
        for row in table.to_pylist():
            json.loads(row["data"])
            counts[row["partition"], row["type"]] += 1
    return counts


def ocsf(folder, manifest):
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(manifest["ocsf"]))
    # By class, and the profiles that an event names: every attribute, known or not, required or not, and its values.
    validators = {}
    counts = Counter()
    for line in lines(folder, manifest):
        event = json.loads(line)
        assert event["metadata"]["version"] == manifest["ocsf"]
        of = event["class_uid"], *event["metadata"].get("profiles", [])
        if of not in validators:
            name = schema.lookup_class_name_from_uid(of[0])
            validators[of] = Draft202012Validator(schema.get_class_schema(name, profiles=list(of[1:])))
        errors = [f"{error.json_path}: {error.message}" for error in validators[of].iter_errors(event)]
        assert not errors, (event["metadata"]["event_code"], errors)
        if of[0] == 2004:
            DetectionFinding.model_validate(event)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        counts[event["unmapped"]["partition"], event["metadata"]["event_code"]] += 1
    classes = {of[0] for of in validators}
    assert classes == {1007, 2004, 6003}, classes
    return counts


def lines(folder, manifest):
    for file in manifest["files"]:
        with open(folder / file["name"], "rb") as text:
            yield from text


def main():
    root = Path(sys.argv[1])
    failed = False
    for name, read in {"jsonl": jsonl, "csv": sheet, "parquet": parquet, "ocsf": ocsf}.items():
        folder = root / name
        manifest = json.loads((folder / "manifest.json").read_text())["statement"]
        said = Counter()
        for partition, of in manifest["partitions"].items():
            for kind, count in of["types"].items():
                said[int(partition), kind] = count
        found = read(folder, manifest)
        if found == said and sum(found.values()) == manifest["exported"]:
            print(f"{name}: {manifest['exported']} entries, as the manifest says")
        else:
            failed = True
            print(f"{name}: found {found}, the manifest says {said}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
