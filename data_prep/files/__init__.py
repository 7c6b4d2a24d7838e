"""Lists and reads the files of a source: in folders, tars and zips."""
