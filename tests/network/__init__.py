"""Tests of hermes_cli/network."""
