"""The shared language of an audit, and the seal on its answers."""
