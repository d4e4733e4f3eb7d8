"""Models, the federation simulator, and (to come) unlearning and its verification."""
