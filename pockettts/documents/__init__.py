"""Files of any kind as chapters of plain text."""
