"""Simulated truth and movies."""
