"""What runs, in which order, how often retried: the only place that imports Prefect."""
