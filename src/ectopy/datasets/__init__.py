"""PhysioNet databases with checksums, and simulated recordings with known beats."""
