"""The DLMS/COSEM client: an association with one meter, kept by ``async with``."""
