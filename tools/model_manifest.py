"""Write the manifests of the models that ship with ectopy, after one was replaced: SHA-256 of every file."""

from ectopy.live.model_files import SHIPPED_LIVE_MODEL
from ectopy.model.classifier import SHIPPED_MODEL
from ectopy.model.manifest import write_manifest
from ectopy.model.rhythm_classifier import SHIPPED_RHYTHM_MODEL

if __name__ == "__main__":
    for folder in (SHIPPED_MODEL, SHIPPED_RHYTHM_MODEL, SHIPPED_LIVE_MODEL):
        write_manifest(folder)
        print(folder)
