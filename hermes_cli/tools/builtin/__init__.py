"""The built-in tools: off until named, each a tool file like one of the user's own."""
