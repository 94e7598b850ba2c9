"""The one way in: files, folders, archives and frames become typed blocks of rows."""
