"""cplab: critical learning periods in deep networks, trained and looked at.

    import cplab
    record = cplab.run(deficit="blur", onset=0, length=8, profile="course", seed=0)
    record.accuracy, record.curve

The names below are the whole public interface; each is loaded when it is first used.
"""

import os

from cplab.lazy import load_late

# Before torch is loaded: threads that wait leave their core to whoever has work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__, __getattr__, __dir__ = load_late(
    __name__,
    errors="CplabError",
    runs="Run",
    **{"studies.reopening.paths": "LinearPath"},
    profiles="PROFILES",
    data="images images_from",
    deficits="deficit apply_deficit",
    models="model",
    measure="measurement",
    results="Result run sweep find at_hand table",
    lab="Explorer",
)
__version__ = "0.1.0"
