"""What the tests build on: doubles, real servers, events as AWS sends them, and newly drawn pictures."""
