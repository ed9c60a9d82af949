"""COSEM: interface classes, object lists and small structures as data. Nothing here talks to a meter."""
