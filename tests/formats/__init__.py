"""Tests of how conversations are written for the model."""
