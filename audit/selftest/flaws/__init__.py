"""One file a flaw: its name, what is wrong, who must notice, and a builder of it and of its sound twin."""
