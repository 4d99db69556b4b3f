"""What is asked of the service by events other than HTTP requests."""
