"""Hits to GO terms: donors' annotations, alignments, reliability."""
