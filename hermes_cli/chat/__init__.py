"""What is said: messages, conversations, requests and events. Frozen values, standard library only."""
