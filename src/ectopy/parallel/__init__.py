"""Worker processes with limits on time and memory, and one BLAS thread per process."""
