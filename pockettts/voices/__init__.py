"""Voices: the catalogue, own voices, voice states and their files, and the cache of cloned voices."""
