"""Who answers elsewhere: any OpenAI-compatible server behind the `Backend` seam."""
