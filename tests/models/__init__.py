"""Tests of which weights are used."""
