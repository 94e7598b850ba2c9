"""Other libraries' Mult-VAE on the same data, each in a separate environment.

`python -m benchmarks.peers.setup` makes the environments under `.peers/`. `client.Peer` runs an
adapter (`NAME_peer.py`) in its environment and sends it commands (`protocol.py`).
"""
