"""Reading published archives and tfrecord shards."""
