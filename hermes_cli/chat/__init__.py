"""Messages, conversations, requests and events, as frozen values."""
