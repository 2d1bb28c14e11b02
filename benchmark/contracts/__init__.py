"""What plugins and engine agree on: data sets, models, seeds."""
