"""HTTP: requests read and checked, routes, answers, their description, and the local server."""
