"""Where streaming models are: scoring with another model needs to know no more of them."""

from pathlib import Path

SHIPPED_LIVE_MODEL = Path(__file__).parents[1] / "model" / "shipped_live"
WEIGHTS_FILE = "weights.npz"


def is_live_model(folder: Path) -> bool:
    """Check whether a folder is that of a streaming model."""
    return (folder / WEIGHTS_FILE).is_file() or folder == SHIPPED_LIVE_MODEL.resolve()
