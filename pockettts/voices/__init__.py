"""Voices: the catalog, own voices, voice states and their files, and the cache of cloned voices."""
