"""Before the first run: the weights that a configuration needs."""

from __future__ import annotations

from collections.abc import Callable

from ..config import Config

__all__ = ["initialize_models"]


def initialize_models(
    config: Config, *, offline: bool = False, check: bool = False, tell: Callable[[str], object] = print
) -> None:
    """Fetch and verify the weights of every enabled model, so that runs need no network.

    Parameters
    ----------
    config : Config
    offline, check, tell
        As for `fantasia_dask.embed.weights.prepare_models`.

    Raises
    ------
    InputError
        If a model is unknown, lacks a layer that is asked for, or its weights are missing or damaged.
    """
    from ..embed.models import check_layers, model_spec
    from ..embed.weights import prepare_models

    specs = []
    for key, model in config.embedding.enabled_models.items():
        spec = model_spec(key, model.checkpoint, model.family)
        check_layers(spec, model.layer_index)
        specs.append(spec)
    prepare_models(specs, offline=offline, check=check, tell=tell)
