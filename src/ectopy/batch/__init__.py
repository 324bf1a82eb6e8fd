"""Score many recordings: jobs, results on disk, the inbox, storage and pseudonyms."""
