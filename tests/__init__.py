"""Tests on the real demo model and the real program."""
