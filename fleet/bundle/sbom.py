"""What is in a release, as CycloneDX 1.6 says it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from fleet.bundle.lock import Target
from gate.common.value import Value


class Component(Value, frozen=True):
    """One package. `ecosystem`: ``pypi`` or ``deb`` (purl-spec, "Known types")."""

    ecosystem: str
    name: str
    version: str
    sha256: str

    @property
    def purl(self) -> str:
        """Its package URL."""
        namespace = "deb/debian" if self.ecosystem == "deb" else self.ecosystem
        return f"pkg:{namespace}/{quote(self.name)}@{quote(self.version)}"


def sbom_json(version: str, target: Target, components: Sequence[Component]) -> bytes:
    """The bill of materials, the same bytes for the same contents."""
    said = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": f"maguey-gate ({target.kind}, {target.python}, {target.machine})",
                "version": version,
            }
        },
        "components": [_said(one) for one in sorted(components, key=lambda one: one.purl)],
    }
    return msgspec.json.format(msgspec.json.encode(said), indent=1)


def _said(one: Component) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
        "hashes": [{"alg": "SHA-256", "content": one.sha256}],
    }
