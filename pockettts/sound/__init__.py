"""Sound: files, streams, formats, loudness, speed and playback."""
