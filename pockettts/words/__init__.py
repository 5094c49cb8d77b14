"""Word times: alignment by attention, and timestamp files."""
