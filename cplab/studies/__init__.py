"""One room for each study: what one lab alone needs, with its specs, engine parts and widgets.

kitten is lab 01's, early_blur lab 02's, paper_schedule 02b's, high_level 03's, fisher 04's,
fisher_limits 04b's, pruning 05's and 05b's, depth 06's, eyes 07's, linear 08's and reopening 09's;
sentences are several labs', and what the widgets of several share is bench.
"""

# Where each kind of spec is defined that the store keeps results of, beside cplab.Run.
SPECS = {
    "Search": "cplab.studies.pruning.specs:Search",
    "OneShot": "cplab.studies.pruning.specs:OneShot",
    "Retraining": "cplab.studies.pruning.specs:Retraining",
    "Pruned": "cplab.studies.pruning.lives:Pruned",
    "KernelSize": "cplab.studies.pruning.lives:KernelSize",
    "KernelPruning": "cplab.studies.pruning.lives:KernelPruning",
    "KernelSplit": "cplab.studies.pruning.lives:KernelSplit",
    "LinearPath": "cplab.studies.reopening.paths:LinearPath",
}

FRONT = "cplab.studies.early_blur:overview"  # the picture of the front page, see cplab.teach.site
