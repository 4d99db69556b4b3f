"""HTTP: reading and checking requests, routes, answers, their description, and the local server."""
