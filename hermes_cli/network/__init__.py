"""Network access: proxies, certificates, time limits, and clear errors."""
