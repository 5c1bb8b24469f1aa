"""Tests of the commands: real child processes, real pipes, real pseudo-terminals."""
