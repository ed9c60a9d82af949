"""A-XDR: values as octets, plain Python and text; profile buffers; dates and times."""
