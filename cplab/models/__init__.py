"""Models: the papers' networks, and students' own."""

from cplab.models import families  # noqa: F401  its functions are in MODELS from then on
from cplab.models.model import MODELS, Model, build, model, model_name, suited_profile

__all__ = ["MODELS", "Model", "build", "model", "model_name", "suited_profile"]
