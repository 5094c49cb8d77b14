"""What a model is: the schema of its config, and the configs of the known models."""
