"""A Flower app in the shape of Flower's quick-start with PyTorch."""
