"""Who answers: the seam `Backend`, and llama.cpp behind it."""
