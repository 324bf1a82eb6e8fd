"""Processes with resource limits, and one BLAS thread per process."""
