"""Proteins to vectors: one model per worker, every requested layer from one forward pass."""
