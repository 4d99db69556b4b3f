"""A picture's way from bytes to the pixels that the image tower takes. Knows nothing of models, labels or HTTP."""
