"""From samples to bytes: files, streams, formats, speed, playback."""
