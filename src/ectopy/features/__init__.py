"""Compute the features that the network reads: timing, morphology, similarity to the patient's own beats."""
