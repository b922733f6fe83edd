"""How fast and how exact the parts are on this machine; each part has one file that yields rows."""
