"""What a bundle can be written as for others to read, one format a file."""
