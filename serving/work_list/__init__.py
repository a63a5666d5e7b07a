"""The subject of the work list: the leads in the order in which sales works them."""
