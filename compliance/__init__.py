"""The law as data and the reading of documents (to come); nothing here is asked of yet."""
