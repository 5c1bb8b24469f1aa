"""Tests of what is said: conversations, requests and events."""
