"""Model configs: the schema, and the configs of the known models."""
