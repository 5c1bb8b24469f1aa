"""Measurements as ratios within one run; see README.md for how and for the figures."""
