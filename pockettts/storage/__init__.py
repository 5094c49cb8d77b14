"""Files by path, URL or hub address; output files that are written completely or not at all."""
