"""Documents, subtitles and batches to sound files, on this machine or on a Dask cluster. Interrupted work can be resumed."""
