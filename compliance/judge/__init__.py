"""The reader of documents: asked one duty at a time, believed as far as it was measured."""
