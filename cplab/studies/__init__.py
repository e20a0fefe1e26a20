"""One room for each study: specs, engine parts, figures and widgets that a single lab needs.

early_blur belongs to lab 02, paper_schedule to 02b, high_level to 03, fisher to 04,
fisher_limits to 04b, pruning to 05 and 05b, depth to 06, eyes to 07, linear to 08 and reopening to
09. Several labs share sentences; several widgets share bench.
"""

# The addresses of the specs, beside cplab.Run, that the store keeps results of.
SPECS = {
    "Search": "cplab.studies.pruning.specs:Search",
    "OneShot": "cplab.studies.pruning.specs:OneShot",
    "Retraining": "cplab.studies.pruning.specs:Retraining",
    "Pruned": "cplab.studies.pruning.convnets:Pruned",
    "KernelSize": "cplab.studies.pruning.convnets:KernelSize",
    "KernelPruning": "cplab.studies.pruning.convnets:KernelPruning",
    "KernelSplit": "cplab.studies.pruning.convnets:KernelSplit",
    "LinearPath": "cplab.studies.reopening.paths:LinearPath",
}
