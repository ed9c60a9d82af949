"""One session with a simulated meter, without I/O: objects, associations, services, faults."""
