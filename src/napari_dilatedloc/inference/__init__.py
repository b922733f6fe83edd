"""Localization of real movies: tiles, pipeline, devices."""
