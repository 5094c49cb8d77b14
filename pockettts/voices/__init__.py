"""Voices: the catalogue, voice states and their files, the cache of cloned voices."""
