"""When each word is spoken: alignment by attention, and timestamp files."""
