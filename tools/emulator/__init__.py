"""A local AWS, with what it lacks of what jobs on S3 need."""
