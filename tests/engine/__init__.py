"""Tests of the engine: the real llama.cpp, in this process and in children that may break."""
