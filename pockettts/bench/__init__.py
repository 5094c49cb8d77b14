"""Benchmarks: the speed of a model on this machine, compared with the machine's roofline."""
