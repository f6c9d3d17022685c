"""Makes an image without an engine: image.py DOCKERFILE PROGRAM FOLDER TAG ARCHIVE.

The stage of DOCKERFILE that is named after PROGRAM says how the image is to be; FOLDER has the program. ARCHIVE is what
`docker save` would write. All times are 0 and all owners root, but for the data folder, so the same program makes the
same bytes.
Prints the image's id.
"""

import hashlib
import io
import json
import platform
import re
import sys
import tarfile

# As the builder of the Dockerfile lays them out: mode and owner.
FOLDERS = (
    ("etc", 0o755, 0),
    ("tmp", 0o1777, 0),
    ("var", 0o755, 0),
    ("var/lib", 0o755, 0),
    ("var/lib/hemostat", 0o755, 65532),
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9}


def nanos(span):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", span).groups()
    return int(number) * UNITS[unit]


def health(text):
    options, command = text.split("CMD ", 1)
    options = dict(option.removeprefix("--").split("=") for option in options.split())
    return {
        "Test": ["CMD", *json.loads(command)],
        "Interval": nanos(options.pop("interval")),
        "Timeout": nanos(options.pop("timeout")),
        "StartPeriod": nanos(options.pop("start-period")),
        "Retries": int(options.pop("retries")),
        **options,
    }


def configuration(dockerfile, stage):
    """What the instructions of this stage say."""
    stages = re.split(r"^FROM scratch AS (\S+)$", dockerfile, flags=re.MULTILINE)
    stage = dict(zip(stages[1::2], stages[2::2]))[stage]
    config = {"Env": [], "Labels": {}, "ExposedPorts": {}}
    for line in stage.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.startswith("#"):
            continue
        match word:
            case "" | "COPY":
                pass
            case "ENV":
                config["Env"].append(rest)
            case "LABEL":
                key, value = rest.split("=", 1)
                config["Labels"][key] = value
            case "USER":
                config["User"] = rest
            case "WORKDIR":
                config["WorkingDir"] = rest
            case "EXPOSE":
                config["ExposedPorts"][f"{rest}/tcp"] = {}
            case "HEALTHCHECK":
                config["Healthcheck"] = health(rest)
            case "ENTRYPOINT":
                config["Entrypoint"] = json.loads(rest)
            case "CMD":
                config["Cmd"] = json.loads(rest)
            case _:
                sys.exit(f"error: image.py does not know `{line}`")
    return config


def entry(name, mode, owner=0, content=None):
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid = mode, owner, owner
    info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    info.size = len(content or b"")
    return info, io.BytesIO(content or b"")


def archive(entries):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, content)
    return target.getvalue()


def main(dockerfile, program, folder, tag, target):
    with open(f"{folder}/{program}", "rb") as file:
        binary = entry(program, 0o755, content=file.read())
    layer = archive([entry(*folder) for folder in FOLDERS] + [binary])
    digest = hashlib.sha256(layer).hexdigest()
    with open(dockerfile, encoding="utf-8") as file:
        config = configuration(file.read(), program)
    image = {
        "architecture": ARCHITECTURES[platform.machine()],
        "config": config,
        "created": "1970-01-01T00:00:00Z",
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "scripts/image.sh"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    image = json.dumps(image, sort_keys=True).encode()
    name = hashlib.sha256(image).hexdigest()
    manifest = json.dumps([{"Config": f"{name}.json", "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}])
    files = {"manifest.json": manifest.encode(), f"{name}.json": image, f"{digest}/layer.tar": layer}
    with open(target, "wb") as file:
        file.write(archive(entry(name, 0o644, content=content) for name, content in files.items()))
    print(f"sha256:{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
