"""Lab 07: networks with two eyes, their quantities in the field's terms, and a clinic for them."""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    quantities="EYES MEASURES READINGS acuity acuity_loss dominance eye_share neuron_shares"
    " patch share_curve",
    bench="Clinic compare_with_kittens film histogram views",
)
