"""The formats in which a bundle can be exported, one file per format."""
