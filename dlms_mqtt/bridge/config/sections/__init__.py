"""Every key of the configuration with its default and sentence, as rows."""
