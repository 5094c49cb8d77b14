"""Files by path, URL or hub address; output files that appear whole or not at all."""
