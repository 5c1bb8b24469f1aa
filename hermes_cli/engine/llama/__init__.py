"""The llama.cpp library through ctypes: the only room that touches it."""
