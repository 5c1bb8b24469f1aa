"""How the network is reached: proxies, certificates, time limits, and what its errors mean."""
