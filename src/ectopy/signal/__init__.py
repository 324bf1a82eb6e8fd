"""Functions on signals: filters, rolling statistics, the time grid, usable samples and simulated noise."""
