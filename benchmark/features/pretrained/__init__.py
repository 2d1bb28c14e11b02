"""What pretrained front ends share: weights, TensorFlow's files, and one thread."""
