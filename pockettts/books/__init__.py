"""Long texts to sound files: documents, subtitles and batches, on this machine or on a Dask cluster; interrupted and resumed."""
