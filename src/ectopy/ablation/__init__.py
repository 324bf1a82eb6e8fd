"""Kinds of networks compared on one budget, out of fold: what each learns, how fast, and how small it can be.

============= =======================================================================================
architectures the kinds, alike in all but what relates a beat to its neighbours
rounds        one fold: trained without some patients, with its losses, times and reach
compression   how a network is made smaller: pruning, eight bits; sizes and times of files
forms         the same networks in each smaller form, judged again
trials        a kind, a length of sequence and a seed, cross-validated
claims        what is said of GRUs, and whether it holds here
page          tables, figure and page, over all trials
============= =======================================================================================
"""

from ectopy.ablation.architectures import ARCHITECTURES, CHOSEN, UnknownArchitectureError
from ectopy.ablation.trials import (
    Architecture,
    Attempt,
    Trial,
    costs_of,
    parameters_of,
    select_architectures,
    try_out,
)

__all__ = [
    "ARCHITECTURES",
    "CHOSEN",
    "Architecture",
    "Attempt",
    "Trial",
    "UnknownArchitectureError",
    "costs_of",
    "parameters_of",
    "select_architectures",
    "try_out",
]
