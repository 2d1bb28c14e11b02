"""What model plugins build on: Keras networks, one estimator a class."""
