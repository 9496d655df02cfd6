"""The plausible mistakes, each made inside transformers.

Owns what an engine could get wrong and which models can show it, one file per part of a model.
Refuses to share code or formulas with the engine under test.
"""

# isort: off
from . import rope, attention, latent, norms, scales, projections, convolutions, experts, weights  # noqa: F401  (each declares its own)
from .declare import MUTATIONS

__all__ = ["MUTATIONS"]
