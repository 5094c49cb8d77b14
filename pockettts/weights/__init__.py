"""Weights: files to packed matrices in the layout of the kernels."""
