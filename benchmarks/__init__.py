"""Side by side with the other Python clients: ``python -m benchmarks [SECTION...]`` (see ``__main__``)."""
