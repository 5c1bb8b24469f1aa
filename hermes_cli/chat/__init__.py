"""What is said: messages, conversations, requests and events, as frozen values."""
