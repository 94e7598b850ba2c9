"""Other libraries' Mult-VAE on the same data, each in an environment of its own.

`python -m benchmarks.peers.setup` makes the environments under `.peers/`; `client.Peer` starts an
adapter (`NAME_peer.py`) in its environment and speaks with it (`protocol.py`).
"""
