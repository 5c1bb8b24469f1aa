"""Who answers: a model here or a server, with its options."""
