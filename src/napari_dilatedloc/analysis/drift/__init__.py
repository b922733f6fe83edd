"""Drift of the sample during a movie: measured, applied, taken back, kept and drawn."""
