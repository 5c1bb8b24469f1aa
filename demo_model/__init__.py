"""The bundled demo model: its generated conversations, its training and its evaluation. Never imported by hermes."""
