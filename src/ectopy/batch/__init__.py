"""Scoring of many recordings.

============== ===========================================================================
planning       which recordings are scored, with which model and options, under which name
runner         score the jobs, one by one or in parallel; skip what is already done
results        result folders and ``summary.csv``: locks and atomic writes
faults         whose fault an error is: the recording's or the machine's
provenance     where results come from: input, model, versions, settings
prepared_cache keep what does not depend on the model, for scoring with another one
cache_folder   a folder of files that can be made again, bounded in size
pseudonyms     pseudonyms in place of file names
inbox          score each recording that arrives in a folder or a bucket once
ledger         the status of each recording of the inbox, in SQLite
storage        the inbox as a folder of this machine or as a bucket
============== ===========================================================================
"""
