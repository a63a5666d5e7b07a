"""The store: typed tables behind SQLAlchemy, one module for each thing kept."""
