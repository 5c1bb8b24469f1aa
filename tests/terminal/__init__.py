"""Tests of what reaches the terminal."""
