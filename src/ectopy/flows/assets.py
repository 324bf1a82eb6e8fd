"""Assets of Prefect: databases, models and scored batches, and which of them was made from which."""

import re
from collections.abc import Mapping, Sequence

from prefect.assets import Asset, AssetProperties, add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE

from ectopy.batch.planning import ModelSource


def database_asset(name: str) -> Asset:
    """Return the asset of a database."""
    return Asset(key=f"ectopy://databases/{name}", properties=AssetProperties(name=f"database {name}"))


def model_asset(name: str) -> Asset:
    """Return the asset of a registered model."""
    return Asset(key=f"ectopy://models/{_key(name)}", properties=AssetProperties(name=f"model {name}"))


def scoring_model_asset(origin: Mapping[str, str]) -> Asset:
    """Return the asset of the model that scored a batch.

    Parameters
    ----------
    origin
        The origin of the results, see :func:`ectopy.batch.provenance.batch_provenance`.

    Returns
    -------
    The asset. The name of a shipped model begins like that of a registered one, so its asset has a name of
    its own.
    """
    if origin["model_from"] == ModelSource.SHIPPED:
        shipped = AssetProperties(name=f"model that ships with ectopy: {origin['model']}")
        return Asset(key="ectopy://models/shipped", properties=shipped)
    return model_asset(origin["model"].partition(" ")[0])


def batch_asset(folder: str) -> Asset:
    """Return the asset of a folder of results."""
    return Asset(
        key=f"ectopy://results/{_key(folder)}", properties=AssetProperties(name=f"results in {folder}")
    )


def record_asset(asset: Asset, made_from: Sequence[Asset], facts: Mapping[str, object]) -> None:
    """Record in Prefect that an asset was made in this run; its events show the lineage.

    Parameters
    ----------
    asset
        What was made.
    made_from
        The assets that it was made from.
    facts
        What to know of it, such as its version.
    """

    @materialize(asset, asset_deps=[*made_from], task_run_name=f"record {asset.key}", cache_policy=NO_CACHE)
    def record() -> None:
        add_asset_metadata(asset, {name: str(value) for name, value in facts.items()})

    record(return_state=True)  # a missing event does not cost the results


def _key(text: str) -> str:
    """Return a text with the characters that a key may have."""
    return re.sub(r"[^A-Za-z0-9._/-]+", "-", text).strip("/-") or "-"
