"""hermes: chat with Hermes 3 in your terminal, on your own machine."""

__version__ = "0.1.0"
