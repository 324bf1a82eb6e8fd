"""Datasets: databases of PhysioNet, and simulated recordings whose beats are known.

========= ==================================================================================
catalogue the databases, their patients, and the split into training and held-out records
download  files of a database from PhysioNet, a mirror or a directory, verified by SHA-256
simulate  simulated patients with known beats and rhythms, for the demo and the tests
========= ==================================================================================
"""
