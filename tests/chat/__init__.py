"""Tests of conversations, requests and events."""
