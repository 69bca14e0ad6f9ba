"""A local page on which one plays with explanations: ``python -m amortex.page``."""
