"""Files: movies in, tables in and out."""
