"""GO terms to the files that people open."""
