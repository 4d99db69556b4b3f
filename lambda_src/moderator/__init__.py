"""The service at run time: a picture and labels in, probabilities out.

Neither torch nor open_clip is imported here; `model_build` needs them, and only when a model is exported.
"""
