"""An analysis as files: HTML, Parquet, CSV, JSON and WFDB annotations."""
