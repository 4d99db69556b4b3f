"""Self-contained pages: what the tools show to people, in one file that can be mailed and printed."""
