"""What `docker compose config` would find, as far as it can be seen without Docker: services that can start, names that resolve."""

import pathlib
import sys

import yaml


def faults(path):
    compose = yaml.safe_load(pathlib.Path(path).read_text())
    services, volumes = compose["services"], compose.get("volumes", {})
    for name, service in services.items():
        if not ("image" in service or "build" in service):
            yield f"{name}: neither image nor build"
        if "healthcheck" not in service and service.get("restart") != "no":
            yield f"{name}: no healthcheck"
        for other in service.get("depends_on", {}):
            if other not in services:
                yield f"{name}: depends on {other}, which is not there"
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                if not pathlib.Path(source).exists():
                    yield f"{name}: mounts {source}, which is not there"
            elif source not in volumes:
                yield f"{name}: volume {source} is not declared"


found = [f"{path}: {fault}" for path in sys.argv[1:] for fault in faults(path)]
print(*found, sep="\n", end="\n" if found else "")
sys.exit(bool(found))
