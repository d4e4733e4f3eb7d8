"""A client for any OpenAI-compatible endpoint that the user names: guarded, bounded, recorded."""
