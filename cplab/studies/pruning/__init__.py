"""Growth and pruning: of nets of 16 units (`specs`, `growth`), of whole kernels and single weights
of convolutional networks (`convnets`, `kernels`, `saliency`). Specs need no torch:

    cplab.run(pruning.Pruned(profile="ci", metric="fisher", density=0.5))
"""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    specs="DENSITIES ORIGINS OneShot Retraining Search",
    convnets="MATERIALS METRICS SIZES KernelPruning KernelSize KernelSplit Pruned random_split",
    quantities="accuracy_at kernel_split plasticity_loss split_accuracy",
    growth="draw_changes expected_density grow_and_prune",
    nets="flat_images inked_pixels unpack_architecture",
    kernels="KernelNet kernel_norms kernels_to_keep",
    saliency="ranked_layers",
    bench="GrowthBench architectures images_at_hand map_figures synapse_maps",
)
