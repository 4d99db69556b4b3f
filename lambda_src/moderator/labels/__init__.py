"""Labels: the configured label sets, and the cache that finds each label's embedding."""
