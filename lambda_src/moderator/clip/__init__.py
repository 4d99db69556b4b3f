"""CLIP itself: the model folder, its two towers, the tokenizer and probabilities. Knows nothing of stores or HTTP."""
