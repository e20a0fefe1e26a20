"""One room for each study: specs, engine parts, figures and widgets that a single lab needs.

kitten belongs to lab 01, early_blur to 02, paper_schedule to 02b, high_level to 03, fisher to 04,
fisher_limits to 04b, depth to 06, eyes to 07, linear to 08 and reopening to
09. Several labs share sentences; several widgets share bench.
"""
