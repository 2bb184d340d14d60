"""A network of one's own: nodes, contracts and a bridge relayer on this machine."""
