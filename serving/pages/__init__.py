"""Pages: the work list, a lead's decision, signing in, the documentation; rendered here, without scripts."""
