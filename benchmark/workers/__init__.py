"""Workers: where jobs run, one thread each."""
