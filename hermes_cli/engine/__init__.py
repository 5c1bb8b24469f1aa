"""Who answers on this machine: llama.cpp behind the `Backend` seam."""
