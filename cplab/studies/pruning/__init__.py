"""Growth and pruning: figures and quantities of labs 05 and 05b. The experiments are in cplab.labs:

pruning.prune_weights("ci", "fisher", 0.5)["accuracy"]
"""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    "cplab",
    **{
        "labs.lab05_growth": "DENSITIES search draw_changes expected_density search_steps "
        "born_synapses",
        "labs.lab05_architectures": "unpack_architecture",
        "labs.lab05_retraining": "ORIGINS prune_once retrain",
        "labs.lab05_nets": "flat_images inked_pixels",
        "labs.lab05b_pruning": "MATERIALS METRICS SIZES KernelSize prune_kernels train_split "
        "prune_weights random_split",
        "labs.lab05b_kernels": "KernelNet kernel_norms kernels_to_keep",
        "labs.lab05b_weights": "ranked_layers",
        "studies.pruning.quantities": "accuracy_at kernel_split plasticity_loss split_accuracy",
        "studies.pruning.bench": "GrowthBench architectures images_at_hand map_figures "
        "synapse_maps",
    },
)
