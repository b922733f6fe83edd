"""Networks of the peers, written anew from their papers to be compared with (docs/networks.md)."""
