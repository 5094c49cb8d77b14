"""From weights files to the layout of the kernels."""
