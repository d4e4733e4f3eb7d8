"""The law as data, the documents, their reader, and claims held against measurements."""
