"""Settings: the table of keys, the config file and the environment."""
