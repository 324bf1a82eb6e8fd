"""Write the software bill of materials (CycloneDX 1.5, JSON) of ectopy with all its extras.

``uv run python tools/sbom.py sbom.json``: uv exports what its lock resolves, and this adds the licences of
what is installed. Addresses of registries, the time and the number of the export are left out: they belong
to the machine, and without them the same packages give the same file.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

_EXPORT = (
    *("uv", "export", "--quiet", "--preview-features", "sbom-export", "--format", "cyclonedx1.5"),
    *("--no-default-groups", "--all-extras"),
)
_LONGEST_NAME = 60
"""Characters of the longest name of a licence; some packages have its whole text in that field."""


def clean(bom: dict[str, Any]) -> dict[str, Any]:
    """Return a bill without what belongs to the machine, with licences where the package is installed."""
    about = {key: value for key, value in bom["metadata"].items() if key != "timestamp"}
    components = [
        {key: value for key, value in component.items() if key != "externalReferences"}
        | {"purl": str(component.get("purl", "")).partition("?")[0]}  # what follows names a registry
        | _licence(component)
        for component in bom["components"]
    ]
    kept = {key: value for key, value in bom.items() if key != "serialNumber"}
    return {**kept, "metadata": about, "components": components}


def _licence(component: dict[str, Any]) -> dict[str, Any]:
    """Return the licence as SPDX expression, else by the name that the package gives, else nothing."""
    try:
        facts = metadata(component["name"])
    except PackageNotFoundError:
        return {}
    if expression := facts.get("License-Expression"):
        return {"licenses": [{"expression": expression}]}
    name = str(facts.get("License") or "")
    if not name or len(name) > _LONGEST_NAME or "\n" in name:
        classified = [line for line in facts.get_all("Classifier") or () if line.startswith("License ::")]
        name = classified[0].rpartition(" :: ")[2] if classified else ""
    return {"licenses": [{"license": {"name": name}}]} if name else {}


def main(path: Path) -> None:
    """Write the bill to a file and print how many packages it has."""
    exported = subprocess.run(_EXPORT, check=True, capture_output=True, text=True).stdout
    bom = clean(json.loads(exported))
    path.write_text(json.dumps(bom, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {len(bom['components'])} packages")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sbom.json"))
